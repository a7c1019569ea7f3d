//! What the redactor promises: no form of a secret comes out, and nothing else is changed.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose as b64;
use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::*;

fn with(secrets: &[&str]) -> Redactor {
    let mut redactor = Redactor::new();
    for secret in secrets {
        assert_eq!(redactor.add(secret), Added::Replaced, "{secret}");
    }
    redactor
}

/// What a writer lets out when it is given these pieces.
fn written(redactor: Redactor, pieces: &[&[u8]]) -> Vec<u8> {
    let mut writer = RedactingWriter::new(Vec::new(), Shared::new(redactor));
    for piece in pieces {
        writer.write_all(piece).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

/// Forms as other code makes them: not the functions under test.
fn encoded(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let mut url = Url::parse("https://host/").unwrap();
    url.query_pairs_mut().append_pair("q", secret);
    let form = url.query().unwrap()[2..].to_owned();
    url.path_segments_mut().unwrap().push(secret);
    let segment = url.path()[1..].to_owned();
    let unit = |c: char| -> String {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        if c.is_ascii() {
            c.to_string()
        } else {
            units.map(|u| format!("\\u{u:04x}")).collect::<Vec<_>>().concat()
        }
    };
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let mut forms = vec![
        secret.to_owned(),
        json.replace('/', "\\/"),
        json.chars().map(unit).collect(),
        json,
        form.replace('+', "%20"),
        form,
        hex.to_uppercase(),
        hex,
        b64::STANDARD.encode(secret),
        b64::URL_SAFE_NO_PAD.encode(secret),
        secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
    ];
    // the parser of URLs drops line breaks and tabs: too little may be left to be replaced
    let left = secret.replace(['\n', '\t'], "");
    if judge(&left) == Added::Replaced {
        forms.push(segment);
    }
    forms
}

#[test]
fn every_form_is_replaced() {
    for secret in
        ["p@ss%rd+1", "quo\"te's & <b>/\\", "two\nlines here", "pässwörd-日本", "a b c d~e"]
    {
        let redactor = with(&[secret]);
        for form in encoded(secret) {
            assert_eq!(redactor.mask(&format!("<{form}>")), "<***>", "{secret:?} as {form:?}");
        }
        let text = json!({ "log": json!({ "token": secret }).to_string() }).to_string();
        assert_eq!(redactor.mask(&text), r#"{"log":"{\"token\":\"***\"}"}"#);
        assert_eq!(redactor.mask(&format!("{secret:?}")), "\"***\"");
    }
}

#[test]
fn base64_is_found_at_all_three_places() {
    let redactor = with(&["p@ss%rd+1"]);
    for before in ["", "u", "us", "usr", "user"] {
        for after in ["", ":", "::", ":::"] {
            let text = format!("{before}p@ss%rd+1{after}");
            for engine in [&b64::STANDARD, &b64::URL_SAFE_NO_PAD] {
                let masked = redactor.mask(&engine.encode(&text)).into_owned();
                assert!(masked.contains("***"), "{text}: {masked}");
                // no more than what the neighbours share may stay
                let stays = masked.replace("***", "").len();
                assert!(stays <= (before.len() + after.len()) * 4 / 3 + 5, "{text}: {masked}");
            }
        }
    }
}

#[test]
fn overlapping_secrets_leave_no_part() {
    let redactor = with(&["abcdefgh", "efghijkl", "cdefgh-longer"]);
    assert_eq!(redactor.mask("xabcdefghijklx"), "x***x");
    assert_eq!(redactor.mask("xabcdefgh-longerx"), "x***x");
    assert_eq!(redactor.mask("abcdefghabcdefgh"), "******");
}

#[test]
fn short_and_common_values_are_told_and_left() {
    let mut redactor = Redactor::new();
    let judged = [
        ("", Added::Empty),
        ("  \n", Added::Empty),
        ("abc", Added::TooShort),
        ("日本語x", Added::TooShort),
        ("true", Added::Common),
        ("False", Added::Common),
        ("1234567", Added::Common),
        ("-12345.75", Added::Common),
        ("******", Added::Common),
        ("password", Added::Common),
        ("abcdef", Added::Replaced),
        ("123456e789", Added::Replaced),
        ("4929123412341234", Added::Replaced),
    ];
    for (secret, wanted) in judged {
        assert_eq!(redactor.add(secret), wanted, "{secret}");
    }
    assert_eq!(redactor.mask("true 1234567 abc password"), "true 1234567 abc password");
}

#[test]
fn lines_and_the_trimmed_text_are_secrets_too() {
    let mut redactor = Redactor::new();
    let key = "-----BEGIN KEY-----\n  MIIEvQIBADANBg\nend\n";
    assert_eq!(redactor.add(key), Added::Replaced);
    assert_eq!(redactor.mask("[MIIEvQIBADANBg] end"), "[***] end");
    assert_eq!(redactor.mask(key.trim()), "***");
    assert_eq!(redactor.mask(&key.replace('\n', "\\n")), "***");
}

#[test]
fn every_text_in_a_secret_value_is_one() {
    let mut redactor = Redactor::new();
    let secret = json!({ "id": "client-4711", "more": ["second-secret", true], "n": 5 });
    assert_eq!(redactor.add_json(&secret), Added::Common, "the number passes");
    assert_eq!(redactor.mask("client-4711 second-secret"), "*** ***");
    assert_eq!(redactor.mask(&format!("is {secret}")), "is ***");
    let seen = redactor.mask_json(&json!({ "client-4711": [1, "x client-4711"] }));
    assert_eq!(seen, json!({ "***": [1, "x ***"] }));
}

#[test]
fn debug_shows_no_secret() {
    let redactor = with(&["abcdef-ghij"]);
    redactor.mask("x");
    let mut writer = RedactingWriter::new(Vec::new(), Shared::new(redactor));
    writer.write_all(b"abcdef-gh").unwrap();
    assert!(!format!("{writer:?}").contains("abcdef"));
}

#[test]
fn only_what_may_be_a_beginning_is_held_back() {
    let shared = Shared::new(with(&["sesame-open"]));
    let mut out = Vec::new();
    let mut writer = RedactingWriter::new(&mut out, shared.clone());
    writer.write_all(b"ready\nses").unwrap();
    writer.write_all(b"ame-op").unwrap();
    writer.write_all(b"en, other").unwrap();
    let _ = shared.add_json(&serde_json::json!("other-secret"));
    writer.write_all(b"-sec").unwrap();
    drop(writer);
    assert_eq!(String::from_utf8(out).unwrap(), "ready\n***, other-sec");
    let mut out = Vec::new();
    let mut writer = RedactingWriter::new(&mut out, shared);
    writer.write_all(b"line\n").unwrap();
    std::mem::forget(writer);
    assert_eq!(out, b"line\n", "a whole line comes out at once");
}

#[test]
fn a_long_secret_costs_no_memory_to_speak_of() {
    let secret: String = (0..5000_u32).map(|n| char::from_u32(33 + n * n % 89).unwrap()).collect();
    let redactor = with(&[&secret]);
    assert_eq!(redactor.mask(&format!("a{secret}b")), "a***b");
    assert!(redactor.much.automaton.get().is_none(), "it was not much until now");
    redactor.mask(&"much".repeat(MUCH / 4));
    redactor.mask("more");
    let automaton = redactor.much.automaton.get().unwrap().as_ref().unwrap();
    let memory = automaton.memory_usage();
    assert!(memory < 32 << 20, "{memory} bytes");
    assert_eq!(redactor.mask(&format!("a{secret}b")), "a***b");
}

#[test]
fn what_begins_like_a_secret_everywhere_is_searched_by_an_automaton() {
    let (secret, text) = ("a".repeat(5_000) + "B", "a".repeat(MUCH / 2));
    let redactor = with(&[&secret]);
    assert_eq!(redactor.mask(&text), text);
    assert!(redactor.much.automaton.get().is_some(), "each place was compared in full");
    assert_eq!(redactor.mask(&format!("{text}B")), format!("{}***", "a".repeat(MUCH / 2 - 5_000)));
    let little = with(&["sesame-open", "sesame-close"]);
    assert_eq!(little.mask(&"sesame-op sesame-close ".repeat(50)), "sesame-op *** ".repeat(50));
    assert!(little.much.automaton.get().is_none(), "this is no effort");
    let much = with(&["sesame-open"]);
    assert_eq!(much.mask(&"x".repeat(MUCH + 1)).len(), MUCH + 1);
    assert!(much.much.automaton.get().is_some(), "the first text may be much");
}

fn secret() -> impl Strategy<Value = String> {
    let kinds = "[a-zA-Z0-9+/=_.~-]{8,40}|[ -~\\n\\t]{6,30}|[a-z0-9é日𝄞\"'<&%@ \\\\]{8,20}";
    proptest::string::string_regex(kinds)
        .unwrap()
        .prop_filter("one that is replaced", |secret| judge(secret) == Added::Replaced)
}

/// A text cut at these places.
fn pieces<'t>(text: &'t [u8], cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

fn contains(text: &[u8], form: &str) -> bool {
    text.windows(form.len()).any(|window| window == form.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_form_of_a_secret_comes_out(
        secrets in prop::collection::vec(secret(), 1..4),
        around in prop::collection::vec("[xyz \\n]{0,20}", 13),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let forms: Vec<String> = secrets.iter().flat_map(|secret| encoded(secret)).collect();
        let text: Vec<&str> =
            around.iter().cycle().zip(&forms).flat_map(|(text, form)| [text.as_str(), form]).collect();
        let text = text.concat();
        let out = written(with(&secrets), &pieces(text.as_bytes(), &cuts));
        for form in &forms {
            prop_assert!(!contains(&out, form), "{form:?} came out of {text:?}");
        }
        let whole = with(&secrets);
        let at_once = whole.mask(&text).into_owned().into_bytes();
        prop_assert_eq!(&at_once, &out, "pieces and the whole differ");
        whole.much.seen.store(MUCH, Ordering::Relaxed);
        let much = whole.mask(&text).into_owned().into_bytes();
        prop_assert_eq!(much, out, "little and much differ");
    }

    #[test]
    fn what_holds_no_secret_is_unchanged(
        secret in secret(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        text in "[g-z \\n日é]{0,200}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let redactor = with(&[&secret]);
        let innocent = |text: &[u8]| !redactor.patterns.iter().any(|form| {
            text.windows(form.len()).any(|window| window == form)
        });
        prop_assume!(innocent(&bytes) && innocent(text.as_bytes()));
        prop_assert_eq!(redactor.mask(&text), text.as_str());
        redactor.much.seen.store(MUCH, Ordering::Relaxed);
        prop_assert_eq!(redactor.mask(&text), text.as_str());
        prop_assert_eq!(written(with(&[&secret]), &pieces(&bytes, &cuts)), bytes);
        prop_assert_eq!(written(redactor, &pieces(text.as_bytes(), &cuts)), text.as_bytes());
    }

    #[test]
    fn base64_around_a_secret_shows_none_of_its_own_characters(
        secret in secret(), before in "[a-z]{0,5}", after in "[a-z]{0,5}",
    ) {
        let encoded = b64::STANDARD.encode(format!("{before}{secret}{after}"));
        let masked = with(&[&secret]).mask(&encoded).into_owned();
        let first = (before.len() * 8).div_ceil(6);
        let last = (before.len() + secret.len()) * 8 / 6;
        prop_assert!(!masked.contains(&encoded[first..last]), "{} in {}", masked, encoded);
    }
}

#[test]
fn what_is_built_once_serves_all_that_know_the_same_and_nobody_else() {
    let knowing = |secrets: &[&str]| {
        let mut redactor = Redactor::new();
        for secret in secrets {
            assert_eq!(redactor.add(secret), Added::Replaced);
        }
        redactor
    };
    let first = knowing(&["one-token", "two-token"]);
    let mut same = knowing(&["two-token", "one-token"]);
    same.search_as(&first);
    assert!(Arc::ptr_eq(&same.much, &first.much));
    assert_eq!(same.mask("one-token, three-token"), "***, three-token");
    // what one learns later is its own
    assert_eq!(same.add("three-token"), Added::Replaced);
    assert_eq!(same.mask("one-token, three-token"), "***, ***");
    assert_eq!(first.mask("one-token, three-token"), "***, three-token");
    let mut fewer = knowing(&["one-token"]);
    fewer.search_as(&first);
    assert_eq!(fewer.mask("one-token, two-token"), "***, two-token");
}
