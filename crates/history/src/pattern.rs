//! Which signs a row of a table means.

use model::catalog::xid::{self, Class, Severity};

use crate::sign::{Sign, SignKind};

/// Some signs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pattern {
    /// Any sign.
    Any,
    /// Signs of these kinds.
    Kinds(&'static [SignKind]),
    /// XIDs with these codes.
    Xids(&'static [u32]),
    /// XIDs of these classes.
    Classes(&'static [Class]),
    /// Signs of these kinds, and XIDs with these codes.
    Either(&'static [SignKind], &'static [u32]),
    /// Signs of these kinds, and XIDs that cost a GPU.
    OrCritical(&'static [SignKind]),
    /// Signs of these kinds whose sentence names the job or the pod that they are about.
    OfHolder(&'static [SignKind]),
    /// Signs of these kinds whose sentence names none.
    OfNobody(&'static [SignKind]),
    /// Signs of these kinds that are over.
    Over(&'static [SignKind]),
}

impl Pattern {
    /// Whether it means this sign.
    pub(crate) fn matches(self, sign: &Sign) -> bool {
        let has_kind = |kinds: &[SignKind]| kinds.contains(&sign.kind);
        let has_code = |codes: &[u32]| sign.xid.is_some_and(|code| codes.contains(&code));
        match self {
            Self::Any => true,
            Self::Kinds(kinds) => has_kind(kinds),
            Self::Xids(codes) => has_code(codes),
            Self::Classes(classes) => sign.xid.is_some_and(|code| {
                let class = xid::class(code).unwrap_or(Class::Unclassified);
                classes.contains(&class)
            }),
            Self::Either(kinds, codes) => has_kind(kinds) || has_code(codes),
            Self::OrCritical(kinds) => {
                let is_critical = |code| xid::severity(code) == Severity::Critical;
                has_kind(kinds) || sign.xid.is_some_and(is_critical)
            }
            Self::OfHolder(kinds) => has_kind(kinds) && names_holder(sign),
            Self::OfNobody(kinds) => has_kind(kinds) && !names_holder(sign),
            Self::Over(kinds) => has_kind(kinds) && sign.to.is_some(),
        }
    }
}

/// Whether the sentence says whose it is: that of a silent job, or of an OOM kill in the cgroup of a holder.
pub(crate) fn names_holder(sign: &Sign) -> bool {
    [" of job ", " of pod "].iter().any(|words| sign.text.contains(words))
}
