//! What each type accepts, and how values are spelled.

use super::*;
use proptest::prelude::*;

fn accepted(ty: PropType, cases: &[(&str, &str)]) {
    for (text, canonical) in cases {
        assert_eq!(ty.check(text).as_deref(), Ok(*canonical), "{ty} {text}");
    }
}

fn refused(ty: PropType, cases: &[&str]) {
    for text in cases {
        assert!(ty.check(text).is_err(), "{ty} {text}");
    }
}

#[test]
fn booleans() {
    accepted(PropType::Boolean, &[("true", "true"), ("t", "true"), ("1", "true"), ("f", "false")]);
    refused(PropType::Boolean, &["", "yes", "TRUE", "2"]);
}

#[test]
fn numbers() {
    let max = "18446744073709551615";
    accepted(PropType::Count, &[("0", "0"), ("0x10", "16"), ("010", "8"), (max, max)]);
    refused(PropType::Count, &["", "-1", "18446744073709551616", "0x", "09", "+1", "1 ", "0x+1"]);
    let (low, high) = ("-9223372036854775808", "9223372036854775807");
    accepted(PropType::Integer, &[(low, low), (high, high), ("-0x10", "-16"), ("+7", "7")]);
    refused(PropType::Integer, &["", "-", "9223372036854775808", "--1", "1.5", "abc"]);
}

#[test]
fn times_and_bytes() {
    accepted(PropType::Time, &[("1", "1.000000000"), ("-1.5", "-1.500000000")]);
    refused(
        PropType::Time,
        &["", ".5", "1.", "-0.5", "1.0000000001", "1.-1", "99999999999999999999"],
    );
    accepted(PropType::Opaque, &[("", ""), ("0aFF", "0aff")]);
    refused(PropType::Opaque, &["0", "0g"]);
}

#[test]
fn texts() {
    accepted(PropType::Astring, &[("", ""), ("a b\t\"", "a b\t\"")]);
    refused(PropType::Astring, &["a\0b"]);
    accepted(PropType::Uri, &[("http://x/?a=%20#b", "http://x/?a=%20#b"), ("a/b", "a/b")]);
    refused(PropType::Uri, &["", "a b", "%2", "1a:b", ":b"]);
    let (svc, file) = ("svc:/a/b:c", "file://localhost/etc");
    accepted(PropType::Fmri, &[(svc, svc), (file, file), ("svc:a/b", "svc:a/b")]);
    refused(PropType::Fmri, &["", "xend", "svc:", "/etc"]);
}

#[test]
fn hosts() {
    accepted(PropType::Hostname, &[("a", "a"), ("a-b.example.", "a-b.example."), ("1a", "1a")]);
    refused(PropType::Hostname, &["", ".", "a..b", "-a", "a_b", "a b"]);
    accepted(PropType::NetAddressV4, &[("10.0.0.1", "10.0.0.1"), ("10.0.0.0/8", "10.0.0.0/8")]);
    refused(PropType::NetAddressV4, &["10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/+8", "::1"]);
    accepted(PropType::NetAddressV6, &[("::1", "::1"), ("fe80::/10", "fe80::/10")]);
    refused(PropType::NetAddressV6, &["::1/129", "10.0.0.1", "[::1]"]);
    accepted(PropType::Host, &[("::1", "::1"), ("10.0.0.1", "10.0.0.1"), ("a.b", "a.b")]);
    refused(PropType::Host, &["", "a b"]);
}

#[test]
fn every_type_is_named_and_derived_as_the_manual_says() {
    for (ty, name) in NAMES {
        assert_eq!(name.parse::<PropType>(), Ok(ty));
        assert_eq!(ty.to_string(), name);
        assert_eq!(serde_json::to_string(&ty).unwrap(), format!("\"{name}\""));
        assert!(ty.is_a(ty));
    }
    assert!(PropType::NetAddressV4.is_a(PropType::Astring));
    assert!(PropType::Fmri.is_a(PropType::Uri));
    assert!(!PropType::Astring.is_a(PropType::Ustring));
    assert!(!PropType::Count.is_a(PropType::Astring));
    assert_eq!("colour".parse::<PropType>().unwrap_err().to_string(), "Unknown type \"colour\".");
}

#[test]
fn a_refusal_says_what_is_expected() {
    assert_eq!(
        PropType::Integer.check("many").unwrap_err().to_string(),
        "Invalid \"integer\" value \"many\": a whole number of 64 bits is expected."
    );
}

proptest! {
    #[test]
    fn canonical_text_is_its_own_canonical_text(index in 0..NAMES.len(), text in "\\PC{0,20}|[-+0-9a-fx.:/]{0,20}") {
        let ty = NAMES[index].0;
        if let Ok(canonical) = ty.check(&text) {
            prop_assert_eq!(ty.check(&canonical), Ok(canonical.clone()));
        }
    }

    #[test]
    fn every_number_of_the_range_is_kept(n in any::<i64>(), m in any::<u64>()) {
        prop_assert_eq!(PropType::Integer.check(&n.to_string()), Ok(n.to_string()));
        prop_assert_eq!(PropType::Count.check(&m.to_string()), Ok(m.to_string()));
        prop_assert_eq!(PropType::Count.check(&format!("{m:#x}")), Ok(m.to_string()));
    }
}
