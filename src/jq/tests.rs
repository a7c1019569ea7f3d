use serde_json::json;

use super::*;

fn run(code: &str, input: &serde_json::Value) -> Result<Vec<serde_json::Value>, RunError> {
    let mut programs = Programs { steps: 20_000, ..Programs::default() };
    let id = programs.add(Program::parse(code).unwrap());
    let vars = |name: &str| (name == "x").then(|| from_json(&json!(["x"])));
    programs.run(id, &vars, from_json(input))?.iter().map(to_json).collect()
}

fn mistakes(code: &str) -> Vec<(String, String, String)> {
    let at = |m: Mistake| (code[m.range].to_owned(), m.message, m.help.unwrap_or_default());
    Program::parse(code).unwrap_err().into_iter().map(at).collect()
}

#[test]
fn what_a_program_reads_is_reported_with_each_place() {
    let code = ".[] | select(.n == $name) | {$pk, a: \"é\\($name)\"}";
    let program = Program::parse(code).unwrap();
    let reads: Vec<(&str, &str)> =
        program.reads().iter().map(|(name, at)| (name.as_str(), &code[at.clone()])).collect();
    assert_eq!(reads, [("name", "$name"), ("pk", "$pk"), ("name", "$name")]);
}

#[test]
fn what_is_bound_inside_is_not_read() {
    let code = "def f($a; g): $a + g; . as [$b, {$c, d: $e}] | reduce .[] as $i (0; . + $i)
        | foreach .[] as $j (0; $j; $j) | f($b; $c) | label $out | $e, break $out";
    assert_eq!(Program::parse(code).unwrap().reads(), []);
    let leaving = Program::parse("(1 as $x | $x), $x").unwrap();
    assert_eq!(leaving.reads(), [("x".to_owned(), 16..18)]);
}

#[test]
fn unknown_names_are_found_all_at_once() {
    assert_eq!(
        mistakes("selct(.a) | split | break $q | foo::bar"),
        [
            ("selct".into(), "unknown filter `selct`".into(), "did you mean `select`?".into()),
            (
                "split".into(),
                "`split` needs arguments".into(),
                "it takes 1 argument or 2 arguments".into()
            ),
            ("$q".into(), "no `label $q` around this".into(), String::new()),
            ("foo::bar".into(), "`foo::bar`: there are no modules here".into(), String::new()),
        ]
    );
}

/// What would be refused in its turn is no help.
#[test]
fn a_filter_that_takes_as_many_arguments_is_suggested() {
    for (code, help) in [
        ("lengt(1)", ""),
        ("lengt", "did you mean `length`, or the field"),
        ("rang(1; 2; 3)", "did you mean `range`?"),
        ("mapp(.)", "did you mean `map`?"),
        ("mapp(.; .)", ""),
        ("def mapping(f; g): .; mappin(.; .)", "did you mean `mapping`?"),
    ] {
        let said = mistakes(code);
        assert!(
            said[0].2.starts_with(help) && (said[0].2.is_empty() == help.is_empty()),
            "{code}: {said:?}"
        );
    }
}

#[test]
fn the_world_is_out_of_reach() {
    for code in [
        "env",
        "$ENV",
        "now",
        "input",
        "inputs",
        "halt",
        "halt(0)",
        "halt_error",
        "debug",
        "stderr",
        "stderr_empty",
        "localtime",
        "$__program",
        "$__loc__",
        "__p0",
        "__main",
        "__step",
    ] {
        let found = mistakes(code);
        assert_eq!(found.len(), 1, "{code}: {found:?}");
    }
    for code in
        ["include \"a\"; .", "import \"a\" as a; .", "import \"a\" as $a; .", "module {}; ."]
    {
        assert!(mistakes(code)[0].1.contains("is not available"), "{code}");
    }
}

#[test]
fn syntax_mistakes_have_their_place() {
    let place = |code: &str| (mistakes(code)[0].0.clone(), mistakes(code)[0].1.clone());
    assert_eq!(place(".a | | .b"), ("|".into(), "expected a value or a filter, found `|`".into()));
    assert_eq!(
        place("if . then 1"),
        (String::new(), "the program ends here, but else or end was expected".into())
    );
    assert_eq!(place("(.a"), (String::new(), "missing closing parenthesis".into()));
    assert_eq!(place(".a ) | 1"), (")".into(), "this character means nothing in jq".into()));
    assert_eq!(place(""), (String::new(), "the program is empty".into()));
    assert_eq!(place(".a; .b"), (";".into(), "`;` does not belong here".into()));
    assert_eq!(place("\"\\q\""), ("q".into(), "expected string escape sequence".into()));
}

#[test]
fn a_program_cannot_leave_its_definition() {
    let mut programs = Programs::default();
    let first = programs.add(Program::parse(".a # not the end \\").unwrap());
    let second = programs.add(Program::parse("def f: 1; f # ; def __p2: 9;").unwrap());
    let third = programs.add(Program::parse("[$a, $b, .a]").unwrap());
    let vars = |name: &str| Some(Val::from(name.to_owned()));
    let run = |id| {
        let outputs = programs.run(id, &vars, from_json(&json!({ "a": 7 }))).unwrap();
        outputs.iter().map(|value| to_json(value).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((run(first), run(second)), (vec![json!(7)], vec![json!(1)]));
    assert_eq!(run(third), [json!(["a", "b", 7])]);
    assert!(Program::parse(".a); def x: (.b").is_err());
}

#[test]
fn ten_thousand_programs_compile_at_once() {
    let mut programs = Programs::default();
    let ids: Vec<ProgramId> = (0..10_000)
        .map(|n| programs.add(Program::parse(&format!(". + {n} + $v{n}")).unwrap()))
        .collect();
    let vars = |_: &str| Some(Val::from(1usize));
    for n in [0, 1, 4_999, 5_000, 9_999] {
        let outputs = programs.run(ids[n], &vars, Val::from(1usize)).unwrap();
        assert_eq!(to_json(&outputs[0]).unwrap(), json!(n + 2));
    }
}

#[test]
fn shared_definitions_are_known_to_programs() {
    let defs = Defs::parse("def twice(f): f | f; # ends in a comment").unwrap();
    let mut programs = Programs::with_defs(defs.clone());
    let id = programs.add(Program::parse_with("twice(. + 1)", &defs).unwrap());
    let outputs = programs.run(id, &|_| None, Val::from(1usize)).unwrap();
    assert_eq!(to_json(&outputs[0]).unwrap(), json!(3));
    assert_eq!(Defs::parse("def f: $x;").unwrap_err()[0].message, "`$x` is not known here");
    assert!(Program::parse("twice(.)").is_err());
}

#[test]
fn an_error_is_cut_and_says_whose_it_is() {
    let long = json!({ "a": "s".repeat(10_000) });
    let error = run(".a + 1", &long).unwrap_err();
    assert_eq!((error.cause, error.message.chars().count()), (RunCause::Language, 201));
    let error = run(r#"error("no provider named \($x[0])")"#, &long).unwrap_err();
    assert_eq!((error.cause, error.message.as_str()), (RunCause::Author, "no provider named x"));
    let error = run("error", &long).unwrap_err();
    assert_eq!(error.cause, RunCause::Language);
    assert_eq!(
        run(r#"try error("a") catch ., (error("b")?), 1"#, &long).unwrap(),
        [json!("a"), json!(1)]
    );
    let error = run(r#"try error("a") catch (1 | .b)"#, &long).unwrap_err();
    assert_eq!(error.cause, RunCause::Language);
}

#[test]
fn what_jq_users_expect_is_there() {
    let of = |code: &str, input: serde_json::Value| run(code, &input).unwrap();
    assert_eq!(of("map(select(IN($x[])))", json!(["x", "y"])), [json!(["x"])]);
    assert_eq!(of("toarray", json!(1)), [json!([1])]);
    assert_eq!(of("@csv", json!(["a\"b", 1, null, true])), [json!("\"a\"\"b\",1,,true")]);
    assert_eq!(of("@tsv", json!(["a\tb", "c\\"])), [json!("a\\tb\tc\\\\")]);
    assert_eq!(of("INDEX(.id)", json!([{ "id": 1 }])), [json!({ "1": { "id": 1 } })]);
    assert_eq!(
        of("[range(0; 10; 3)], [range(3; 0; -1)]", json!(null)),
        [json!([0, 3, 6, 9]), json!([3, 2, 1])]
    );
    assert_eq!(of("[paths]", json!({ "a": [1] })), [json!([["a"], ["a", 0]])]);
    assert_eq!(of("del(.[] | select(. > 1)) | .[] += 1", json!([1, 2, 3])), [json!([2])]);
    assert_eq!(of("[.[] * 2, 10 / 2, 1.5]", json!([3])), [json!([6, 5, 1.5])]);
    assert_eq!(of(".a += \"b\" | .a * 2", json!({ "a": "a" })), [json!("abab")]);
    assert_eq!(
        of("(1, 2) + (10, 20)", json!(null)),
        [json!(11), json!(21), json!(12), json!(22)].map(|value| value).to_vec()
    );
    assert_eq!(
        of("[limit(3; repeat(1))], ([1, [2]] | flatten)", json!(0)),
        [json!([1, 1, 1]), json!([1, 2])]
    );
    assert_eq!(of("[.[] | until(. > 100; . * 2)]", json!([1, 3])), [json!([128, 192])]);
}

#[test]
fn endless_programs_end() {
    for code in [
        "last(repeat(1))",
        "last(recurse(.))",
        "until(false; .)",
        "last(while(true; .))",
        "last(range(0; infinite))",
        "last(range(0; 1; 0))",
        "[limit(1e15; repeat(1) | empty)]",
        "try last(repeat(1)) catch 0",
        "last(repeat(1))?",
        "isempty(repeat(1) | empty)",
        "last(recurse([.]))",
        "reduce repeat(1) as $i (0; [.])",
        "reduce range(1e9) as $i (\"x\"; . + .)",
        "reduce range(1e9) as $i (\"x\"; . += .)",
        "reduce range(1e9) as $i (\"x\"; \"\\(.)\\(.)\")",
        "\"x\" * 1e15 | length",
        "\"x\" * 1000000000000 | length",
        "last([range(10)] | combinations(30))",
        "reduce range(60) as $i (1; [., .])",
        "reduce range(60) as $i (1; [., .]) | tojson",
        "reduce range(60) as $i (1; [., .]) | \"\\(.)\"",
        "repeat(1)",
    ] {
        let error = run(code, &json!(0)).unwrap_err();
        assert_eq!(error.cause, RunCause::Bound, "{code}: {error}");
    }
    let deep = run("(\"[\" * 100000) | fromjson", &json!(0)).unwrap_err();
    assert!(deep.message.starts_with("this is not JSON: recursion"), "{deep}");
    let many = format!("last({})", vec!["(1, 2)"; 60].join(" | "));
    assert_eq!(run(&many, &json!(0)).unwrap_err().cause, RunCause::Bound);
}

#[test]
fn recursive_definitions_are_refused() {
    for code in
        ["def f: f; f", "def f(x): x | f(x); f(1)", "def f: def g: f; g; f", "def f: 1 + f; 2"]
    {
        assert_eq!(mistakes(code)[0].1, "`f` calls itself", "{code}");
    }
    assert!(
        Program::parse("def f: 1; def f: f + 1; f").is_err(),
        "jq binds the inner `f` to itself"
    );
    assert!(Program::parse("def f: 1; def f(x): f + x; f(2)").is_ok());
}

#[test]
fn a_deep_program_is_refused_and_does_not_overflow() {
    for (start, end) in [
        ("(", ")"),
        ("[", "]"),
        ("-", ""),
        ("try ", ""),
        ("def f: ", ""),
        ("1 | ", ""),
        ("\"\\(", ")\""),
        ("\")\" | (", ")"),
    ] {
        let deep = format!("{}1{}", start.repeat(20_000), end.repeat(20_000));
        assert!(Program::parse(&deep).is_err(), "{start}");
    }
    let long = format!("1{}", " | . as $x | $x".repeat(100));
    assert_eq!(run(&long, &json!(0)).unwrap(), [json!(1)]);
    let flat = format!(
        "{{{}}}",
        (0..300).map(|n| format!("k{n}: 1 + {n}")).collect::<Vec<_>>().join(", ")
    );
    assert_eq!(run(&format!("{flat} | length"), &json!(0)).unwrap(), [json!(300)]);
}

#[test]
fn a_body_is_strict_json_in_its_own_order() {
    let value =
        parse_body(b"\xef\xbb\xbf{\"z\":1,\"a\":[1.5,null,18446744073709551615]} \n").unwrap();
    assert_eq!(
        to_json(&value).unwrap().to_string(),
        r#"{"z":1,"a":[1.5,null,18446744073709551615]}"#
    );
    for bad in ["", "1 2", "NaN", "{a:1}", "# x\n1", "[1,]", "\"\\ud800\""] {
        assert!(parse_body(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(parse_body(b"\"\xff\"").is_err());
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(parse_body(deep.as_bytes()).unwrap_err().contains("recursion"));
}

#[test]
fn what_json_cannot_say_is_an_error() {
    for code in ["nan", "infinite", "{(1): 2}", "[255] | tobytes", "18446744073709551615 + 1"] {
        assert_eq!(run(code, &json!(0)).unwrap_err().cause, RunCause::Language, "{code}");
    }
    assert_eq!(
        run("1e3, 0.1, -1e20", &json!(0)).unwrap(),
        [json!(1000.0), json!(0.1), json!(-1e20)]
    );
}

#[test]
fn programs_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Programs>();
}

#[test]
fn a_short_program_that_takes_many_steps_still_gives_its_values() {
    let items = serde_json::Value::from((0..100).collect::<Vec<_>>());
    assert_eq!(run("[.[] as $a | .[] as $b | 1] | length", &items).unwrap(), [10_000]);
}

/// What jaq has otherwise than jq, or not at all, is as jq has it.
#[test]
fn what_is_joined_trimmed_and_written_is_what_jq_makes_of_it() {
    for (code, wanted) in [
        (r#"[null, "x", 1, true, false, 1.5] | join(",")"#, json!([",x,1,true,false,1.5"])),
        (r#"[] | join(",")"#, json!([""])),
        (r#"[null] | join(",")"#, json!([""])),
        (r#"{a: "x", b: null, c: 2} | join("-")"#, json!(["x--2"])),
        (r#"["a", "b"] | join(null)"#, json!(["ab"])),
        (r#"["a", "b"] | [join(",", ";")]"#, json!([["a,b", "a;b"]])),
        (r#"[["a"]] | try join(",") catch "no text""#, json!(["no text"])),
        (r#""tête" | ltrimstr("tê"), rtrimstr("te")"#, json!(["te", "tê"])),
        (
            r#""test" | [ltrimstr("st"), rtrimstr("te"), ltrimstr(""), rtrimstr("")]"#,
            json!([["test", "test", "test", "test"]]),
        ),
        (r#"{te: 1} | ltrimstr("te"), rtrimstr("te")"#, json!([{ "te": 1 }, { "te": 1 }])),
        (r#""test" | ltrimstr(1), rtrimstr(null)"#, json!(["test", "test"])),
        (r"infinite | tojson | fromjson", json!([f64::MAX])),
        (r"[{a: [-infinite]}, 1] | tojson | fromjson", json!([[{ "a": [f64::MIN] }, 1]])),
        (r"{v: nan} | tojson", json!(["{\"v\":null}"])),
        (r#""\(nan)", (nan | tostring), ([nan] | @json)"#, json!(["null", "null", "[null]"])),
    ] {
        assert_eq!(run(&format!("[{code}]"), &json!(null)).unwrap(), [wanted], "{code}");
    }
}
