//! The fields that the library knows: those of the catalogue that its version has, and those of
//! the equipment.

use std::{collections::BTreeMap, ffi::c_char};

use model::catalog::{Level, ValueType};

use crate::{entity::kind, equipment::Equipment, settings::Settings, value::Type};

/// Catalogue numbers from here on are not DCGM's.
const FIRST_OF_OTHERS: u16 = 9000;

/// What a field is, laid out as in the interface.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Meta {
    pub id: u16,
    pub letter: u8,
    pub size: u8,
    pub tag: [c_char; 48],
    pub scope: i32,
    pub nvml_field: i32,
    pub level: u32,
    format: &'static Format,
}

/// How a field is printed; unused here.
#[derive(Debug)]
#[repr(C)]
struct Format {
    short_name: [c_char; 10],
    unit: [c_char; 4],
    width: i16,
}

const _: () = {
    assert!(size_of::<Meta>() == 72 && size_of::<Format>() == 16);
    assert!(std::mem::offset_of!(Meta, tag) == 4 && std::mem::offset_of!(Meta, scope) == 52);
    assert!(std::mem::offset_of!(Meta, level) == 60 && std::mem::offset_of!(Meta, format) == 64);
};

static FORMAT: Format = Format { short_name: [0; 10], unit: [0; 4], width: 10 };

const GLOBAL_SCOPE: i32 = 0;
const ENTITY_SCOPE: i32 = 1;

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub value: Type,
    pub meta: Meta,
}

impl Field {
    fn new(id: u16, value: Type, level: u32, name: &str) -> Self {
        let mut tag = [0; 48];
        let short = name.trim_start_matches("DCGM_FI_").trim_start_matches("DEV_");
        let bytes = short.bytes().map(|byte| byte.to_ascii_lowercase() as c_char);
        tag.iter_mut().take(47).zip(bytes).for_each(|(place, byte)| *place = byte);
        let scope = if level == kind::NONE { GLOBAL_SCOPE } else { ENTITY_SCOPE };
        let (letter, size) = (value.letter(), value.size());
        let meta = Meta { id, letter, size, tag, scope, nvml_field: 0, level, format: &FORMAT };
        Self { value, meta }
    }

    /// Whether it has one value for the whole machine.
    pub(crate) fn is_global(&self) -> bool {
        self.meta.scope == GLOBAL_SCOPE
    }
}

/// All fields, by number.
pub(crate) struct Fields(BTreeMap<u16, Field>);

impl Fields {
    pub(crate) fn new(settings: &Settings, equipment: &Equipment) -> Self {
        let limit = settings.field_limit().min(FIRST_OF_OTHERS);
        let mut fields = BTreeMap::new();
        for row in model::catalog::FIELDS.iter().filter(|row| row.id.0 < limit) {
            let value = match row.value {
                ValueType::Int => Type::Int,
                ValueType::Float => Type::Float,
                ValueType::Text => Type::Text,
            };
            let field = || Field::new(row.id.0, value, level(row.level), row.name);
            // Of two names for one number, the first is the current one.
            fields.entry(row.id.0).or_insert_with(field);
        }
        for (entity, id, value) in equipment.fields() {
            let name = || format!("equipment_{id}");
            fields.entry(id).or_insert_with(|| Field::new(id, value, entity.kind, &name()));
        }
        Self(fields)
    }

    pub(crate) fn get(&self, id: u16) -> Option<&Field> {
        self.0.get(&id)
    }
}

/// The finest kind of entity that has the field.
fn level(level: Level) -> u32 {
    match level {
        Level::Global => kind::NONE,
        Level::GpuInstance => kind::GPU_INSTANCE,
        Level::ComputeInstance => kind::COMPUTE_INSTANCE,
        Level::Link | Level::SwitchLink => kind::LINK,
        Level::Switch => kind::SWITCH,
        Level::Cpu => kind::CPU,
        Level::CpuCore => kind::CPU_CORE,
        _ => kind::GPU,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Fields {
        let version = version.to_owned();
        let (nvml, control, equipment) = (None, None, None);
        let hang = std::time::Duration::from_secs(1);
        let settings = Settings { nvml, control, equipment, version, hang };
        Fields::new(&settings, &Equipment::default())
    }

    #[test]
    fn a_version_knows_the_fields_of_its_time() {
        let fields = of("4.6.0");
        let known = |id| fields.get(id).is_some();
        assert_eq!([150, 1532, 1603, 9001].map(known), [true, true, false, false]);
        assert!(of("4.7.0").get(1603).is_some());
        let meta = |id| &fields.get(id).unwrap().meta;
        assert_eq!((meta(1).scope, meta(1).level, meta(1).letter), (0, 0, b's'));
        assert_eq!((meta(150).scope, meta(150).level, meta(150).letter), (1, 1, b'i'));
        assert_eq!((meta(1508).level, meta(1005).level, meta(1004).level), (6, 4, 5));
    }
}
