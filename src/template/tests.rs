use serde_json::json;

use super::*;

struct Values(Json);

impl Lookup for Values {
    fn value(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(from_json)
    }
}

fn render(source: &str, values: Json) -> Result<Json, String> {
    let template = Template::parse(source).map_err(|mistake| mistake.message)?;
    template.render(&Values(values)).map_err(|error| error.0)
}

#[test]
fn one_expression_keeps_its_type() {
    assert_eq!(render("{{ xs }}", json!({"xs": [1, true, null]})), Ok(json!([1, true, null])));
    assert_eq!(render("{{ 1 + 1 }}", json!({})), Ok(json!(2)));
    assert_eq!(render("n={{ n }}", json!({"n": 2})), Ok(json!("n=2")));
    assert_eq!(render("{{ a }}{{ a }}", json!({"a": 1})), Ok(json!("11")));
}

#[test]
fn text_is_spelt_as_json_spells_it() {
    let values = json!({"t": true, "n": null, "o": {"a": [1, "x"]}, "s": "plain"});
    assert_eq!(
        render("{{ t }} {{ n }} {{ o }} {{ s }}\n", values),
        Ok(json!("true null {\"a\":[1,\"x\"]} plain\n"))
    );
}

#[test]
fn what_is_only_filled_in_is_what_minijinja_makes_of_it() {
    let long = "x".repeat(harmless::LITTLE);
    let values = Values(json!({
        "t": true, "n": null, "o": {"a": [1, 2.0, "x"], "é": "<&>"}, "s": "it's {{ t }}\n", "e": "",
        "long": long, "i": 9_007_199_254_740_993_u64, "f": 1e300, "minus": -0.0,
    }));
    for name in ["t", "n", "o", "s", "e", "long", "i", "f", "minus"] {
        for text in ["{{ N }}!", " {{N}}\n{{ t }}\n", "{{ e }}{{\n N }}\n\n", "{ {{ N }} }}"] {
            let source = text.replace('N', name);
            let template = Template::parse(&source).unwrap();
            let Form::Text { holes, .. } = &template.form else { panic!("{source} is no text") };
            assert!(!holes.is_empty(), "{source}");
            let expected = ENV.render_str(&source, context(&template.reads, &values)).unwrap();
            assert_eq!(template.render(&values), Ok(json!(expected)), "{source}");
        }
        let (sole, value) = (format!("{{{{ {name} }}}}"), values.0[name].clone());
        assert_eq!(Template::parse(&sole).unwrap().render(&values), Ok(value), "{sole}");
    }
    for other in [
        "{{- s }}.",
        "{{ s -}} .",
        "{# c #}{{ s }}",
        "{% raw %}{{ s }}{% endraw %}",
        "{{ s }}{{ 1 }}",
    ] {
        let template = Template::parse(other).unwrap();
        let Form::Text { holes, .. } = &template.form else { panic!("{other} is no text") };
        assert!(holes.is_empty(), "{other}");
    }
    assert_eq!(
        render("a {{ nowhere }}", json!({})),
        Err("undefined value: `nowhere` is undefined, in `nowhere`".to_owned())
    );
    assert_eq!(render("{{ nowhere }}", json!({})), Err("`nowhere` is undefined".to_owned()));
}

#[test]
fn undefined_is_an_error() {
    assert!(render("{{ missing }}", json!({})).is_err());
    assert!(render("a {{ o.missing }}", json!({"o": {}})).is_err());
    assert!(render("{{ o.missing }}", json!({"o": {}})).is_err());
}

#[test]
fn reads_are_found_at_their_places() {
    let source = "{{ 'name' ~ o.name }} {% for x in xs %}{{ x | upper ~ name }}{% endfor %}";
    let template = Template::parse(source).unwrap();
    let found: Vec<_> =
        template.reads().iter().map(|read| (read.name.as_str(), read.range.start)).collect();
    assert_eq!(found, [("o", 12), ("xs", 34), ("name", source.rfind("name").unwrap())]);
}

#[test]
fn unknown_filters_and_tests_are_found_when_parsed() {
    let mistake = Template::parse("{{ a | slugfy }}").unwrap_err();
    assert_eq!(mistake.range, 7..13);
    assert_eq!(mistake.help.as_deref(), Some("did you mean `slugify`?"));
    let mistake = Expr::parse("a is not integr").unwrap_err();
    assert_eq!(mistake.message, "unknown test `integr`");
}

#[test]
fn endless_work_runs_out_of_fuel() {
    let source = "{% for a in range(9000) %}{% for b in range(9000) %}x{% endfor %}{% endfor %}";
    assert!(render(source, json!({})).is_err());
}

#[test]
fn nothing_dumps_the_context() {
    assert!(render("{{ debug() }}", json!({"secret": "s3cret"})).is_err());
    assert!(Template::parse("{{ x | pprint }}").is_err());
}

#[test]
fn syntax_errors_have_a_place() {
    let mistake = Template::parse("abc {{ a + }} def").unwrap_err();
    assert!(mistake.range.start >= 4 && mistake.range.end <= 13, "{mistake:?}");
}

#[test]
fn an_expression_that_would_nest_without_end_is_refused() {
    for code in [" | lower".repeat(6000), " + 1".repeat(9000), " and a".repeat(9000)] {
        let mistake = Template::parse(&format!("x {{{{ a{code} }}}}")).unwrap_err();
        assert_eq!(mistake.range.start, 4);
        assert!(mistake.message.contains("at most 500"), "{mistake:?}");
    }
    let list = format!("{{{{ [{}] }}}}", "'a', ".repeat(9000));
    assert!(Template::parse(&list).is_ok());
}

#[test]
fn slugs_and_hosts() {
    for (text, slug) in [
        ("Vault Warden!", "vault-warden"),
        ("Café Zoë", "cafe-zoe"),
        ("ÅNGSTRÖM ŁÓDŹ İzmir", "angstrom-lodz-izmir"),
        ("Cafe\u{301}", "cafe"),
        ("Straße & Œuvre", "strasse-oeuvre"),
        ("×÷ 日本 1", "1"),
    ] {
        let slugged = render("{{ text | slugify }}", json!({ "text": text }));
        assert_eq!(slugged, Ok(json!(slug)), "{text}");
    }
    assert_eq!(
        render("{{ 'https://a.example:8443/x' | host }}", json!({})),
        Ok(json!("a.example"))
    );
    assert_eq!(
        render("{{ 'https://a.example:8443/x' | origin }}", json!({})),
        Ok(json!("https://a.example:8443"))
    );
}

#[test]
fn what_is_wanted_again_gives_the_same() {
    for source in ["{{ a + 1 }}", "{{ a }} is {% if a > 1 %}much{% endif %}"] {
        let template = Template::parse(source).unwrap();
        let values = serde_json::json!({ "a": 2 });
        let all: Vec<_> =
            (0..4).map(|_| template.render(&Values(values.clone())).unwrap()).collect();
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    }
}

#[test]
fn a_word_is_taken_if_a_template_of_it_does_not_read_it() {
    let words = "true True TRUE false False none None null not and or in is if else elif for \
                 endif endfor set block extends include import from as with filter macro call do \
                 raw autoescape recursive loop self super caller varargs kwargs namespace range \
                 dict debug lipsum cycler joiner item response name x _";
    let globals: Vec<String> = ENV.globals().map(|(name, _)| name.to_owned()).collect();
    for word in words.split_whitespace().chain(globals.iter().map(String::as_str)) {
        let reads = |template: &Template| template.reads().iter().any(|read| read.name == word);
        let read = |text: String| Template::parse(&text).is_ok_and(|template| reads(&template));
        let read = read(format!("{{{{ {word} }}}}")) && read(format!("x {{{{ {word} }}}}"));
        assert_eq!(is_taken(word), !read, "{word}");
    }
}

#[test]
fn what_is_no_text_is_found_unless_it_is_made_one_or_may_be_left_out() {
    let values = Values(json!({
        "none_yet": null,
        "list": ["a", "b"],
        "user": {"id": 7, "team": null},
        "id": 7,
    }));
    for (text, odd) in [
        ("orgs/{{ id }}", None),
        ("orgs/{{ none_yet }}", Some(("none_yet", "null"))),
        ("{{ none_yet }}", Some(("none_yet", "null"))),
        ("orgs/{{- none_yet | urlencode }}", Some(("none_yet", "null"))),
        ("orgs/{{ none_yet | default('x', true) }}", None),
        ("orgs/{{ none_yet or 'x' }}", None),
        ("orgs/{{ list }}", Some(("list", "a list"))),
        ("orgs/{{ list | join(',') }}", None),
        ("orgs/{{ user }}", Some(("user", "an object"))),
        ("orgs/{{ user.id }}", None),
        ("orgs/{{ id }}/{{ user.team }}", Some(("user.team", "null"))),
        ("orgs/{% if none_yet %}{{ none_yet }}{% else %}{{ none_yet }}{% endif %}x", None),
        ("{% if id %}x{% endif %}/{{ none_yet }}", Some(("none_yet", "null"))),
        ("{% for one in list %}{{ one }}{% endfor %}", None),
    ] {
        assert_eq!(Template::parse(text).unwrap().odd(&values), odd, "{text}");
    }
}

#[test]
fn an_expression_in_braces_is_told_to_stand_without() {
    for source in ["{{ names }}", "{{ url }} == 'x'"] {
        let help = Expr::parse(source).unwrap_err().help;
        assert!(help.is_some_and(|help| help.contains("without `{{ }}`")), "{source}");
    }
}

#[test]
fn a_text_is_neither_above_nor_below_a_number() {
    let values = Values(json!({"octet": "7", "count": 7, "gone": null}));
    for (source, held) in [
        ("octet > 9", None),
        ("9 <= octet", None),
        ("count < octet", None),
        ("count > 1 and (octet > 9)", None),
        ("not octet > 9", None),
        ("octet | int > 9", Some(false)),
        ("count > 1", Some(true)),
        ("octet > '10'", Some(true)),
        ("'10' < octet", Some(true)),
        ("octet | length < 9", Some(true)),
        ("gone < 9", Some(true)),
        ("'octet > 9' == octet", Some(false)),
    ] {
        let held_now = Expr::parse(source).unwrap().holds(&values);
        assert_eq!(held_now.as_ref().ok().copied(), held, "{source}: {held_now:?}");
        if let Err(error) = held_now {
            assert!(error.0.contains("write `octet | int`"), "{source}: {}", error.0);
        }
    }
}
