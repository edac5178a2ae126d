//! Passwords, hashed with bcrypt.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::str::{self, FromStr};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use http::header::HeaderValue;
use ring::hmac;
use ring::rand::SystemRandom;

use crate::file::{Map, Mistake};

/// The most rounds of a hash, as a power of two. A password that is not known yet takes about 4 s of a
/// processor at 16; each step doubles it.
const MAX_COST: u32 = 16;

/// The fewest rounds of a hash, as a power of two: the least that bcrypt has.
const MIN_COST: u32 = 4;

/// bcrypt takes no more bytes of a password, and neither does exporter-toolkit.
const MAX_PASSWORD: usize = 72;

/// The most right passwords that are known: a password a user, unless hashes change.
const MAX_RIGHT: usize = 256;

/// The most wrong passwords that are known.
const MAX_WRONG: usize = 1024;

/// Salt and hash of a password that no user has.
const NO_PASSWORD: &str = "gORJG8qSMc.ALw3cYP0zce4Wsjibp5ooZRsu5TLuH207f1gLyuJ0W";

/// Names, and the hashes of their passwords.
#[derive(Default)]
pub(crate) struct Users {
    hashes: BTreeMap<String, Arc<str>>,
    /// Compared with the password of a name that no user has, so that such a name takes as long.
    fallback: Arc<str>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hashes.keys()).finish()
    }
}

impl Users {
    pub(crate) fn read(map: Map) -> Result<Self, Mistake> {
        let mut hashes = BTreeMap::new();
        let mut max_cost = MIN_COST;
        for (name, text) in map {
            let hash = text.value.as_deref().unwrap_or_default();
            let key = format!("basic_auth_users: {name}");
            if name.contains(':') {
                let what = "a name with a colon can never log in; leave the colon out";
                return Err(Mistake::new(&text, &key, what));
            }
            let cost = cost_of(hash).map_err(|what| Mistake::new(&text, &key, what))?;
            max_cost = max_cost.max(cost);
            hashes.insert(name, hash.into());
        }
        Ok(Self { hashes, fallback: format!("$2y${max_cost:02}${NO_PASSWORD}").into() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// That the time of a refusal tells which names exist, because it depends on the cost of the hash.
    pub(crate) fn cost_warning(&self) -> Option<String> {
        let costs = || self.hashes.values().filter_map(|hash| cost_of(hash).ok());
        let (min, max) = (costs().min()?, costs().max()?);
        (min < max).then(|| {
            format!(
                "bcrypt costs differ, from {min} to {max}, so the time of a refusal tells which users \
                 exist; hash all passwords with the same cost"
            )
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.hashes.keys().map(String::as_str)
    }

    pub(crate) fn authenticate(
        &self,
        authorization: Option<&HeaderValue>,
        known: &Arc<Known>,
    ) -> Authentication {
        if self.is_empty() {
            return Authentication::NotNeeded;
        }
        let Some((name, mut password)) = authorization.and_then(credentials) else {
            return Authentication::Refused;
        };
        password.truncate(MAX_PASSWORD);
        let hash = self.hashes.get(&name);
        let is_user = hash.is_some();
        let hash = Arc::clone(hash.unwrap_or(&self.fallback));
        let tag = known.tag(&[name.as_bytes(), hash.as_bytes(), &password]);
        match tag.and_then(|tag| known.find(&tag)) {
            Some(true) => Authentication::Accepted,
            Some(false) => Authentication::Refused,
            None => {
                let known = Arc::clone(known);
                Authentication::Unknown(PasswordCheck { is_user, password, hash, tag, known })
            }
        }
    }
}

/// The cost of a hash, or what would be right.
fn cost_of(hash: &str) -> Result<u32, String> {
    let advice = "write what `htpasswd -nBC 10 NAME` prints after the colon";
    if hash.is_empty() {
        return Err(format!("no password; {advice}"));
    }
    if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)) {
        return Err(format!(
            "the password is not a bcrypt hash of the form $2a$, $2b$ or $2y$; {advice}"
        ));
    }
    let parts = HashParts::from_str(hash)
        .map_err(|_| format!("the bcrypt hash is malformed or cut off; {advice}"))?;
    match parts.get_cost() {
        cost if cost < MIN_COST => Err(format!("bcrypt has no cost of {cost}; {advice}")),
        cost if cost > MAX_COST => {
            let seconds = 4_u64 << (cost.min(40) - MAX_COST);
            Err(format!(
                "with a cost of {cost} a login takes about {seconds} s of a processor; use at most {MAX_COST}: {advice}"
            ))
        }
        cost => Ok(cost),
    }
}

/// Name and password of a header `Authorization`, as RFC 7617 has them.
fn credentials(header: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = header.as_bytes().split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let mut decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = decoded.split_off(colon + 1);
    decoded.truncate(colon);
    // A name of a file is UTF-8.
    Some((String::from_utf8(decoded).ok()?, password))
}

/// The result of looking at a header `Authorization`.
#[derive(Debug)]
pub enum Authentication {
    /// There are no users: everyone may read.
    NotNeeded,
    /// Name and password are right.
    Accepted,
    /// They are missing, malformed or known to be wrong.
    Refused,
    /// They have to be hashed first.
    Unknown(PasswordCheck),
}

/// A name and a password that have to be hashed.
pub struct PasswordCheck {
    is_user: bool,
    password: Vec<u8>,
    hash: Arc<str>,
    tag: Option<Tag>,
    known: Arc<Known>,
}

impl fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordCheck").finish_non_exhaustive()
    }
}

impl PasswordCheck {
    /// What checks of the same name and password have in common; `None` if the system has no random
    /// numbers.
    pub fn tag(&self) -> Option<PasswordTag> {
        self.tag.map(PasswordTag)
    }

    /// Hashes the password, which takes from milliseconds to seconds of a processor, and remembers the
    /// result. Returns whether name and password are right.
    pub fn run(self) -> bool {
        // Another check may have found out meanwhile.
        if let Some(is_right) = self.tag.and_then(|tag| self.known.find(&tag)) {
            return is_right;
        }
        let is_equal = bcrypt::verify(&self.password, &self.hash).unwrap_or(false);
        let is_right = is_equal && self.is_user;
        if let Some(tag) = self.tag {
            self.known.remember(tag, is_right);
        }
        is_right
    }
}

/// Equal for checks of the same name and password. Neither can be found from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PasswordTag(Tag);

impl fmt::Debug for PasswordTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordTag").finish_non_exhaustive()
    }
}

/// Stands for a name, a hash and a password.
type Tag = [u8; 32];

/// The results of former checks. Passwords cannot be found from it without the key, which never leaves
/// the process. The time of a lookup depends only on tags, so a client that measures it learns nothing
/// about a password.
pub(crate) struct Known {
    /// None without random numbers: then every password is hashed.
    key: Option<hmac::Key>,
    /// Right and wrong passwords have separate lists, so that many wrong ones do not push out a right one.
    right: Mutex<Recent>,
    wrong: Mutex<Recent>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            right: Mutex::new(Recent::new(MAX_RIGHT)),
            wrong: Mutex::new(Recent::new(MAX_WRONG)),
        }
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Known {
    fn tag(&self, parts: &[&[u8]]) -> Option<Tag> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in parts {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }

    /// Whether it is right; `None` if that is not known.
    fn find(&self, tag: &Tag) -> Option<bool> {
        if lock(&self.right).tags.contains(tag) {
            return Some(true);
        }
        lock(&self.wrong).tags.contains(tag).then_some(false)
    }

    fn remember(&self, tag: Tag, is_right: bool) {
        lock(if is_right { &self.right } else { &self.wrong }).insert(tag);
    }
}

fn lock(recent: &Mutex<Recent>) -> std::sync::MutexGuard<'_, Recent> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The newest tags.
struct Recent {
    tags: HashSet<Tag>,
    order: VecDeque<Tag>,
    capacity: usize,
}

impl Recent {
    fn new(capacity: usize) -> Self {
        Self { tags: HashSet::new(), order: VecDeque::new(), capacity }
    }

    fn insert(&mut self, tag: Tag) {
        if !self.tags.insert(tag) {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users with hashes of these costs.
    fn users(costs: &[u32]) -> Users {
        let line = |cost: &u32| format!("u{cost}: $2b${cost:02}${NO_PASSWORD}\n");
        let text: String = costs.iter().map(line).collect();
        let text = if text.is_empty() { "{}" } else { &text };
        Users::read(serde_saphyr::from_str(text).expect("a map")).expect("right")
    }

    #[test]
    fn a_name_that_no_user_has_takes_as_many_rounds_as_the_slowest_user() {
        for (costs, expected) in [(&[][..], 4), (&[5, 9, 7], 9), (&[MAX_COST], MAX_COST)] {
            let parts = HashParts::from_str(&users(costs).fallback).expect("a hash");
            assert_eq!(parts.get_cost(), expected);
        }
        // And is compared with a hash in the same way.
        assert!(bcrypt::verify("", &users(&[]).fallback).is_ok());
    }

    #[test]
    fn tags_differ_where_any_part_differs() {
        let known = Known::default();
        let parts: [[&[u8]; 3]; 6] = [
            [b"a", b"b", b"c"],
            [b"ab", b"", b"c"],
            [b"", b"ab", b"c"],
            [b"a", b"bc", b""],
            [b"a", b"", b"bc"],
            [b"a", b"b", b"d"],
        ];
        let tags: HashSet<_> = parts.iter().map(|parts| known.tag(parts).expect("a key")).collect();
        assert_eq!(tags.len(), parts.len());
        // Another process has another key.
        assert_ne!(known.tag(&parts[0]), Known::default().tag(&parts[0]));
    }

    #[test]
    fn results_are_bounded() {
        let known = Known::default();
        for number in 0..10_000_u32 {
            let tag = known.tag(&[&number.to_le_bytes()]).expect("a key");
            for _ in 0..2 {
                known.remember(tag, number % 2 == 0);
            }
        }
        for (recent, capacity) in [(&known.right, MAX_RIGHT), (&known.wrong, MAX_WRONG)] {
            let recent = lock(recent);
            assert_eq!((recent.tags.len(), recent.order.len()), (capacity, capacity));
        }
    }

    #[test]
    fn without_random_numbers_every_password_is_hashed() {
        let users = users(&[4]);
        let known = Arc::new(Known { key: None, ..Known::default() });
        let header = HeaderValue::from_static("Basic dTQ6eA==");
        for _ in 0..2 {
            let answer = users.authenticate(Some(&header), &known);
            let Authentication::Unknown(check) = answer else { panic!("{answer:?}") };
            assert!(!check.run());
        }
    }
}
