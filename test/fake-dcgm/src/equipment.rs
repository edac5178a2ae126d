//! NVSwitches and CPUs, which the driver library does not know: they come from a file.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::{
    entity::{EntityId, kind},
    value::{Type, Value},
};

/// The NVSwitches and CPUs of the machine, and what is read of them.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Equipment {
    #[serde(rename = "switch")]
    pub switches: Vec<Switch>,
    #[serde(rename = "cpu")]
    pub cpus: Vec<Cpu>,
    #[serde(rename = "value")]
    rows: Vec<Row>,
    #[serde(skip)]
    values: BTreeMap<(EntityId, u16), Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    pub id: u32,
    #[serde(default)]
    pub links: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cpu {
    pub id: u32,
    #[serde(default)]
    pub cores: Vec<u32>,
    #[serde(default)]
    pub serial: String,
}

/// One value: `entity` is `switch 0`, `switch 0 link 1`, `cpu 0` or `core 3`, and just one of
/// `int`, `float` and `text` is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    entity: String,
    field: u16,
    int: Option<i64>,
    float: Option<f64>,
    text: Option<String>,
}

/// Why a file cannot be used.
#[derive(thiserror::Error, Debug)]
pub(crate) enum InvalidEquipment {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error("no entity: {0}")]
    Entity(String),
    #[error("field {0} of {1}: not one value")]
    Value(u16, String),
}

impl Equipment {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, InvalidEquipment> {
        Self::parse(&fs::read_to_string(path)?)
    }

    fn parse(text: &str) -> Result<Self, InvalidEquipment> {
        let mut equipment: Self = toml::from_str(text)?;
        for row in std::mem::take(&mut equipment.rows) {
            let entity =
                entity(&row.entity).ok_or_else(|| InvalidEquipment::Entity(row.entity.clone()))?;
            let value = match (row.int, row.float, row.text) {
                (Some(value), None, None) => Value::Int(value),
                (None, Some(value), None) => Value::Float(value),
                (None, None, Some(value)) => Value::Text(value),
                _ => return Err(InvalidEquipment::Value(row.field, row.entity)),
            };
            equipment.values.insert((entity, row.field), value);
        }
        Ok(equipment)
    }

    /// All entities of one kind.
    pub(crate) fn entities(&self, of: u32) -> Vec<EntityId> {
        let entities =
            |ids: Vec<u32>| ids.into_iter().map(|id| EntityId { kind: of, id }).collect();
        match of {
            kind::SWITCH => entities(self.switches.iter().map(|switch| switch.id).collect()),
            kind::CPU => entities(self.cpus.iter().map(|cpu| cpu.id).collect()),
            kind::CPU_CORE => {
                entities(self.cpus.iter().flat_map(|cpu| cpu.cores.clone()).collect())
            }
            kind::LINK => {
                let links = self.switches.iter().flat_map(|switch| {
                    let owner = EntityId { kind: kind::SWITCH, id: switch.id };
                    (0..switch.links).map(move |link| EntityId::link(owner, link))
                });
                links.collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether an entity is an NVSwitch, a link of one, a CPU or a core.
    pub(crate) fn owns(entity: EntityId) -> bool {
        match entity.as_link() {
            Some((owner, _)) => owner.kind == kind::SWITCH,
            None => matches!(entity.kind, kind::SWITCH | kind::CPU | kind::CPU_CORE),
        }
    }

    pub(crate) fn value(&self, entity: EntityId, field: u16) -> Option<&Value> {
        self.values.get(&(entity, field))
    }

    /// The fields with values: kind of entity, field, and type.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (EntityId, u16, Type)> {
        self.values.iter().map(|((entity, field), value)| {
            let value = match value {
                Value::Float(_) => Type::Float,
                Value::Text(_) => Type::Text,
                Value::Int(_) | Value::Blank(_) => Type::Int,
            };
            (*entity, *field, value)
        })
    }
}

fn entity(entity: &str) -> Option<EntityId> {
    let words: Vec<&str> = entity.split_whitespace().collect();
    let of = |kind, id: &str| Some(EntityId { kind, id: id.parse().ok()? });
    match words.as_slice() {
        ["switch", id] => of(kind::SWITCH, id),
        ["switch", id, "link", link] => {
            Some(EntityId::link(of(kind::SWITCH, id)?, link.parse().ok()?))
        }
        ["cpu", id] => of(kind::CPU, id),
        ["core", id] => of(kind::CPU_CORE, id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
        [[switch]]
        id = 0
        links = 2
        [[cpu]]
        id = 0
        cores = [0, 1]
        [[value]]
        entity = "switch 0 link 1"
        field = 780
        int = 42
        [[value]]
        entity = "core 1"
        field = 1100
        float = 0.5
    "#;

    #[test]
    fn a_file_lists_entities_and_values() {
        let equipment = Equipment::parse(EXAMPLE).unwrap();
        let count = |of| equipment.entities(of).len();
        assert_eq!([3, 6, 7, 8, 1].map(count), [1, 2, 1, 2, 0]);
        let link = equipment.entities(kind::LINK)[1];
        assert_eq!((link.id, Equipment::owns(link)), (0x103, true));
        assert_eq!(equipment.value(link, 780), Some(&Value::Int(42)));
        let fields: Vec<_> = equipment.fields().map(|(_, id, value)| (id, value)).collect();
        assert_eq!(fields, [(780, Type::Int), (1100, Type::Float)]);
        assert!(!Equipment::owns(EntityId::link(EntityId::gpu(0), 1)));
    }

    #[test]
    fn each_error_has_a_message() {
        for text in [
            "[[value]]\nentity = \"moon\"\nfield = 1\nint = 1",
            "[[value]]\nentity = \"cpu 0\"\nfield = 1",
            "[[disk]]\nid = 0",
        ] {
            assert!(Equipment::parse(text).is_err(), "{text}");
        }
    }
}
