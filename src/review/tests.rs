//! The pages' examples trigger what they say.

use super::*;
use crate::diag::{Diag, Severity};
use crate::fake::Fake;
use crate::runbook::lint::{PAGES, Page};
use crate::source::Source;
use crate::testing;

fn parsed(text: &str) -> Runbook {
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    parsed.map_err(|diags| diags[0].title.clone()).unwrap().0
}

fn codes(book: &str, fake: &str, tests: &str) -> Vec<String> {
    let (book, fake) = (parsed(book), Source::new("fake.toml", fake));
    let service = Fake::parse(&fake).map_err(|diags| diags[0].title.clone()).unwrap();
    let tests = Source::new("x.test.toml", tests);
    let cases = testing::parse(&tests).map_err(|diags| diags[0].title.clone()).unwrap();
    let world = World::real();
    let service = Arc::new(service);
    let pack = Pack { runbook: &book, fake: &service, cases: &cases, world: &world };
    let told = |diag: &Diag| match diag.severity {
        Severity::Warning => diag.code.unwrap().to_owned(),
        Severity::Error => diag.title.clone(),
    };
    let mut found: Vec<String> = answers(&pack).iter().map(told).collect();
    found.extend(names(&tests, &book, Some(&service)).iter().map(told));
    found.extend(routes(&service, &[book]).iter().map(told));
    found
}

#[test]
fn the_bad_example_of_each_page_triggers_it_and_the_good_one_nothing() {
    let pages: Vec<(&Page, &str)> =
        PAGES.iter().filter_map(|page| Some((page, page.beside?))).collect();
    assert_eq!(pages.len(), 3);
    for (page, beside) in pages {
        let pair = |text: &'static str| {
            if ["[[routes]]", "[[commands]]"].iter().any(|part| text.contains(part)) {
                codes(beside, text, TESTS)
            } else {
                codes(text, beside, TESTS)
            }
        };
        assert_eq!(pair(page.bad), [page.code], "{}", page.code);
        assert_eq!(pair(page.good), [""; 0], "{}", page.code);
    }
}

const TESTS: &str = "format = 1\n";

const BOOK: &str = r#"format = 1
name = "x"
[inputs.url]
[inputs.user]
default = "ada"
[presets.p]
user = "grace"
[connections.api]
base = "{{ url }}/api"
[[steps]]
id = "ask"
prompt = "Whom?"
[[steps]]
id = "make"
http = { on = "api", method = "POST", url = "users/", json = { name = "{{ user }}" } }
save.made = ".id"
[steps.already]
http = { on = "api", url = "users/" }
find = ".[] | select(.name == $user)"
fields = { name = { found = ".name", wanted = "$user" } }
"#;

const FAKE: &str = r#"format = 1
[inputs]
url = "$URL"
[state]
users = []
[states.full]
users = [{ id = 1, name = "ada" }]
[[routes]]
on = "GET /api/users/"
jq = "{body: .state.users}"
[[routes]]
on = "POST /api/users/"
jq = "{body: {id: 1}}"
"#;

#[test]
fn a_test_names_only_what_is_there() {
    let right = "[[cases]]\nname = \"c\"\npreset = \"p\"\nstate = [\"full\"]\nadopt = true\n\
                 inputs = { user = \"ada\" }\nanswers = { ask = \"x\" }\n[cases.expect]\n\
                 step = \"make\"\nsaved = { made = 1 }\n";
    let right = format!("format = 1\n{right}");
    assert_eq!(codes(BOOK, FAKE, &right), [""; 0]);
    for (old, new, wrong) in [
        ("\"p\"", "\"q\"", "there is no preset `q`"),
        ("\"full\"", "\"ful\"", "there is no state of the fake `ful`"),
        ("{ user", "{ usr", "there is no input `usr`"),
        ("{ ask", "{ asks", "there is no step `asks`"),
        ("\"make\"", "\"mak\"", "there is no step `mak`"),
        ("{ made", "{ mad", "there is no saved value `mad`"),
    ] {
        assert_eq!(codes(BOOK, FAKE, &right.replace(old, new)), [wrong]);
    }
}

#[test]
fn a_key_that_only_a_case_shows_is_there() {
    let book = BOOK.replace("found = \".name\"", "found = \".nam\"");
    // Nothing is found as the rehearsal begins, so nothing is known of what would be.
    assert_eq!(codes(&book, FAKE, TESTS), [""; 0]);
    let full =
        "format = 1\n[[cases]]\nname = \"c\"\nstate = [\"full\"]\nanswers = { ask = \"x\" }\n";
    assert_eq!(codes(&book, FAKE, full), ["not-in-answer"]);
    let book = BOOK.replace("\".id\"", "\".key\"");
    let answered = "format = 1\n[[cases]]\nname = \"c\"\nanswers = { ask = \"x\" }\n";
    assert_eq!(codes(&book, FAKE, answered), ["not-in-answer"]);
    let fake = FAKE.replace(
        "{body: {id: 1}}",
        "{body: (if .request.body.name == \\\"grace\\\" then {key: 1} else {id: 1} end)}",
    );
    let grace =
        format!("{answered}[[cases]]\nname = \"d\"\npreset = \"p\"\nanswers = {{ ask = \"x\" }}\n");
    assert_eq!(codes(&book, &fake, &grace), [""; 0]);
}

const SLOW: &str = r#"format = 1
name = "x"
[inputs.url]
[connections.api]
base = "{{ url }}/api"
[[steps]]
id = "wait"
http = { on = "api", url = "ready/" }
save.ready = ".ready"
until = { that = "ready", every = "8h", limit = "25h" }
[[steps]]
id = "after"
http = { on = "api", url = "users/", query = { ready = "{{ ready }}" } }
save.first = ".[0].key"
"#;

#[test]
fn what_is_known_only_after_hours_of_waiting_is_known_at_once() {
    let ready = "[[routes]]\non = \"GET /api/ready/\"\n\
                 jq = \"{body: {ready: (.state.asked > 2)}, state: (.state | .asked += 1)}\"\n";
    let fake = FAKE.replace("users = []", "asked = 0\nusers = [{ id = 1 }]");
    let fake = format!("{fake}{ready}");
    assert_eq!(codes(SLOW, &fake, TESTS), ["not-in-answer", "uncalled-route"]);
    // it gives up after its limit, and what comes behind it gets no answer
    let never = fake.replace("asked > 2", "asked > 4");
    assert_eq!(codes(SLOW, &never, TESTS), ["uncalled-route"]);
}
