//! Groups of entities and groups of fields, which belong to the client that made them.

use std::collections::BTreeMap;

use crate::{entity::EntityId, faults::Faults, status::Status};

/// A client: the number of its handle.
pub(crate) type Client = usize;

/// How many groups there can be, and as many field groups.
const MAX_GROUPS: usize = 64;

/// How many of them the engine has for itself.
const BUILT_IN: usize = 5;

const MAX_ENTITIES: usize = 1024;
const MAX_FIELDS: usize = 127;

/// Groups of an engine.
#[derive(Default)]
pub(crate) struct Groups {
    last: usize,
    entities: BTreeMap<usize, Owned<Vec<EntityId>>>,
    fields: BTreeMap<usize, Owned<FieldGroup>>,
}

struct Owned<T> {
    client: Client,
    it: T,
}

struct FieldGroup {
    name: String,
    fields: Vec<u16>,
}

impl Groups {
    /// A new group without entities.
    pub(crate) fn create(&mut self, client: Client, faults: &Faults) -> Result<usize, Status> {
        if self.entities.len() + BUILT_IN.max(faults.groups_of_others) >= MAX_GROUPS {
            return Err(Status::MAX_LIMIT);
        }
        let number = self.number();
        self.entities.insert(number, Owned { client, it: Vec::new() });
        Ok(number)
    }

    pub(crate) fn add(&mut self, group: usize, entity: EntityId) -> Result<(), Status> {
        let entities = &mut self.entities.get_mut(&group).ok_or(Status::BAD_PARAM)?.it;
        if entities.contains(&entity) {
            return Err(Status::BAD_PARAM);
        }
        if entities.len() == MAX_ENTITIES {
            return Err(Status::MAX_LIMIT);
        }
        entities.push(entity);
        Ok(())
    }

    pub(crate) fn destroy(&mut self, group: usize) -> Result<(), Status> {
        self.entities.remove(&group).map(|_| ()).ok_or(Status::BAD_PARAM)
    }

    pub(crate) fn entities(&self, group: usize) -> Result<&[EntityId], Status> {
        self.entities.get(&group).map(|group| &*group.it).ok_or(Status::BAD_PARAM)
    }

    /// A new field group. Its name must differ from those of all other clients, too.
    pub(crate) fn create_fields(
        &mut self,
        client: Client,
        name: String,
        fields: Vec<u16>,
        faults: &Faults,
    ) -> Result<usize, Status> {
        if name.is_empty() || fields.is_empty() || fields.len() > MAX_FIELDS {
            return Err(Status::BAD_PARAM);
        }
        if self.fields.values().any(|group| group.it.name == name) {
            return Err(Status::DUPLICATE_KEY);
        }
        if self.fields.len() + BUILT_IN.max(faults.field_groups_of_others) >= MAX_GROUPS {
            return Err(Status::MAX_LIMIT);
        }
        let number = self.number();
        self.fields.insert(number, Owned { client, it: FieldGroup { name, fields } });
        Ok(number)
    }

    pub(crate) fn destroy_fields(&mut self, group: usize) -> Result<(), Status> {
        self.fields.remove(&group).map(|_| ()).ok_or(Status::BAD_PARAM)
    }

    pub(crate) fn fields(&self, group: usize) -> Result<&[u16], Status> {
        self.fields.get(&group).map(|group| &*group.it.fields).ok_or(Status::BAD_PARAM)
    }

    /// Removes everything of this client.
    pub(crate) fn forget(&mut self, client: Client) {
        self.entities.retain(|_, group| group.client != client);
        self.fields.retain(|_, group| group.client != client);
    }

    fn number(&mut self) -> usize {
        self.last += 1;
        BUILT_IN + self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_64_groups() {
        let (mut groups, faults) = (Groups::default(), Faults::default());
        let made = (0..100).map_while(|_| groups.create(1, &faults).ok()).count();
        assert_eq!(made, 59);
        assert_eq!(groups.create(2, &faults), Err(Status::MAX_LIMIT));
        groups.forget(1);
        assert!(groups.create(2, &faults).is_ok());
        let mut faults = Faults::default();
        faults.groups_of_others = 64;
        assert_eq!(groups.create(2, &faults), Err(Status::MAX_LIMIT));
    }

    #[test]
    fn a_field_group_takes_127_fields() {
        let (mut groups, faults) = (Groups::default(), Faults::default());
        let mut create =
            |name: &str, count| groups.create_fields(1, name.to_owned(), vec![1; count], &faults);
        assert!(create("a", 127).is_ok());
        assert_eq!(create("b", 128), Err(Status::BAD_PARAM));
        assert_eq!(create("b", 0), Err(Status::BAD_PARAM));
        assert_eq!(create("a", 1), Err(Status::DUPLICATE_KEY));
    }

    #[test]
    fn an_entity_is_in_a_group_once() {
        let (mut groups, faults) = (Groups::default(), Faults::default());
        let group = groups.create(1, &faults).unwrap();
        for id in 0..1024 {
            assert_eq!(groups.add(group, EntityId::gpu(id)), Ok(()));
        }
        assert_eq!(groups.add(group, EntityId::gpu(7)), Err(Status::BAD_PARAM));
        assert_eq!(groups.add(group, EntityId::gpu(1024)), Err(Status::MAX_LIMIT));
        assert_eq!(groups.destroy(group), Ok(()));
        assert_eq!(groups.entities(group), Err(Status::BAD_PARAM));
    }
}
