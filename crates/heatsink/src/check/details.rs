//! Every reading; devices with the same value share a line.

use model::catalog::Group;

use super::place::fold;
use super::report::{Report, Row, format_value, group_by_key};
use crate::table;

pub(super) fn text(report: &Report) -> String {
    let mut rows = vec![["GROUP", "FIELD", "VALUE", "DEVICE"].map(str::to_owned).to_vec()];
    for group in Group::ALL {
        let of_group = report.readings.iter().filter(|row| row.field.group() == group);
        let mut fields = group_by_key(of_group.map(|row| (row.field.id, row)));
        fields.sort_by_key(|(id, _)| *id);
        for (_, readings) in fields {
            let values = readings.iter().map(|Row { field, place, reading }| {
                (
                    [
                        group.as_str().to_owned(),
                        field.name.to_owned(),
                        format_value(field, reading),
                    ],
                    place.clone(),
                )
            });
            let line =
                |(cells, places): ([String; 3], Vec<_>)| [&cells[..], &[fold(&places)]].concat();
            rows.extend(group_by_key(values).into_iter().map(line));
        }
    }
    table::aligned(&rows)
}
