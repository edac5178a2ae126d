//! The form of a pod's UID.

/// The length of a UUID with its dashes, and of the hash that a static pod has in its place.
const LENGTHS: [usize; 2] = [36, 32];

/// Whether it is a UUID, or 32 hexadecimal digits as of a static pod.
pub(super) fn is_pod_uid(text: &str) -> bool {
    let is_dash = |position: usize| text.len() == 36 && [8, 13, 18, 23].contains(&position);
    LENGTHS.contains(&text.len())
        && text.bytes().enumerate().all(|(position, byte)| {
            if is_dash(position) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_uuid_or_a_hash() {
        let cases = [
            ("0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11", true),
            ("0123456789abcdef0123456789abcdef", true),
            ("", false),
            ("runtime", false),
            ("0e7b1a8c_5d1f_4a6e_9b60_6f2f5a7c1d11", false),
            ("0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d1", false),
            ("0123456789abcdef0123456789abcdeg", false),
            ("0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1dé", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_pod_uid(text), expected, "{text}");
        }
    }
}
