use super::*;
use crate::source::Source;

fn runbook(steps: &str) -> Runbook {
    let text = format!(
        "format = 1\nname = \"x\"\n[inputs.user]\n[inputs.token]\nsecret = true\n\
         [connections.api]\nbase = \"https://api.example.com/v1/\"\n\
         headers = {{ authorization = \"Bearer {{{{ token }}}}\" }}\n{steps}"
    );
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    parsed.map_err(|diags| diags.into_iter().map(|diag| diag.title).collect::<Vec<_>>()).unwrap().0
}

fn typed(steps: &str) -> String {
    let runbook = runbook(steps);
    commands(&runbook, &runbook.steps[0]).unwrap()
}

#[test]
fn a_look_up_is_curl_and_jq() {
    let shell = typed(
        "[[steps]]\nid = \"a\"\nhttp = { on = \"api\", url = \"users/\", query = { name = \"{{ user }}\" } }\n\
         save.user_id = '.results[0].id'\ngates = [{ that = \"user_id is integer\" }]\n",
    );
    assert_eq!(
        shell,
        "USER_ID=$(curl -sS -G https://api.example.com/v1/users/ \\\n  \
               --data-urlencode \"name=$MY_USER\" \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
               | jq -c '.results[0].id')\nprintf '%s\\n' \"USER_ID: $USER_ID\"\n"
    );
}

#[test]
fn what_the_environment_has_is_taken_from_there_and_home_is_found_between_quotes() {
    let text = "format = 1\nname = \"x\"\n[inputs.token]\nsecret = true\nfrom = [{ env = \"WIKI_TOKEN\" }]\n\
                [inputs.tok]\nfrom = [{ env = \"OTHER\" }]\n[connections.api]\nbase = \"https://a.b/\"\n\
                headers = { authorization = \"Bearer {{ token }}\" }\n[[steps]]\nid = \"a\"\n\
                http = { on = \"api\", method = \"PUT\", url = \"x\", upload = \"~/my notes\" }\n";
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    let runbook = parsed.map_err(|diags| diags[0].title.clone()).unwrap().0;
    insta::assert_snapshot!(commands(&runbook, &runbook.steps[0]).unwrap(), @r#"
    TOKEN=${WIKI_TOKEN:-$TOKEN}
    curl -sS -X PUT https://a.b/x \
      -H "Authorization: Bearer $TOKEN" \
      --data-binary "@$HOME/my notes" \
      -H 'Content-Type: application/octet-stream'
    "#);
}

#[test]
fn what_is_made_is_sent_as_json_with_the_names_in_it() {
    let shell = typed(
        "[[steps]]\nid = \"a\"\nhttp = { on = \"api\", method = \"POST\", url = \"users/\", json = { name = \"{{ user }}\", tags = [\"x\"] } }\n\
         save.one = '.a'\nsave.two = { jq = '.b', secret = true }\n",
    );
    assert_eq!(
        shell,
        "RESPONSE=$(MY_USER=\"$MY_USER\" jq -n '{\n  \"name\": $ENV.MY_USER,\n  \"tags\": [\"x\"]\n}' \\\n  \
         | curl -sS -X POST https://api.example.com/v1/users/ \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
         -H 'Content-Type: application/json' \\\n  --data-binary @-)\n\
         ONE=$(printf '%s\\n' \"$RESPONSE\" | jq -r '.a')\nTWO=$(printf '%s\\n' \"$RESPONSE\" | jq -r '.b')\n"
    );
}

#[test]
fn every_kind_says_how_it_is_done_by_hand() {
    for kind in crate::step::KINDS {
        let used = "format = 1\nname = \"o\"\n[inputs.host]\n[[steps]]\nid = \"a\"\njq = \"1\"\nsave.inner_id = \".\"\n";
        let names = "[vars]\nuser = \"u\"\nhost = \"h\"\nunit = \"u\"\nkey = \"k\"\napp = \"a\"\nissuer = \"i\"\n\
                     scope_pks = [1]\ncredentials_file = \"f\"\nservice_url = \"https://a.b\"\n";
        let text = format!(
            "format = 1\nname = \"x\"\n{names}[connections.api]\nbase = \"https://a.b/\"\n{}",
            kind.example
        );
        let find = |_: &str, _: &Source| Ok(Source::new("o.toml", used));
        let parsed = Runbook::parse(&Source::new("x.toml", text), &find);
        let runbook =
            parsed.map_err(|diags| format!("{}: {:?}", kind.name, diags[0].title)).unwrap().0;
        let manual = by_hand(&runbook, &runbook.steps[0], &Names::default());
        assert!(manual.shell.is_some() || !manual.text.is_empty(), "{}", kind.name);
    }
}

#[test]
fn headings_of_a_note_go_below_the_step_and_code_stays() {
    assert_eq!(lowered("# A\n```sh\n# b\n```\n"), "### A\n```sh\n# b\n```");
}

/// `UPDATE=1 cargo test` writes it anew.
#[test]
fn the_file_in_docs_lists_every_kind() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/steps.md");
    let pages = crate::step::KINDS.iter().map(kind).map(|page| format!("\n#{page}"));
    let text = format!("# Kinds of steps\n\n{}{}", kinds(), pages.collect::<String>());
    if crate::world::World::real().var("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == text, "run with UPDATE=1");
}

/// Or the commands that follow would not be found, or go somewhere else.
#[test]
fn what_a_shell_gives_a_meaning_to_is_called_otherwise() {
    let text = "format = 1\nname = \"x\"\n[inputs.path]\n[inputs.home]\nfrom = [{ env = \"SITE_HOME\" }]\n[[steps]]\nid = \"a\"\n\
                command = { run = [\"ls\", \"{{ path }}\", \"{{ home }}/x\", \"{{ path | upper }}\", \"{{ path or home }}\"], cwd = \"~/y\" }\n\
                save.hostname = '.'\n";
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    let runbook = parsed.map_err(|diags| diags[0].title.clone()).unwrap().0;
    insta::assert_snapshot!(commands(&runbook, &runbook.steps[0]).unwrap(), @r#"
    MY_HOME=${SITE_HOME:-$MY_HOME}
    MY_HOSTNAME=$(cd "$HOME/y" && ls "$MY_PATH" "$MY_HOME/x" "${MY_PATH^^}" "${MY_PATH:-$MY_HOME}")
    "#);
    assert!(markdown(&runbook).contains("`MY_PATH`"), "{}", markdown(&runbook));
}

#[test]
fn the_home_of_a_command_on_another_host_is_the_one_there() {
    let there = |cwd: &str| {
        typed(&format!(
            "[[steps]]\nid = \"a\"\ncommand = {{ run = [\"ls\"], ssh = \"box\", cwd = \"{cwd}\" }}\n"
        ))
    };
    assert_eq!(there("~/x"), "ssh box 'cd ~/x && ls'");
    assert_eq!(there("~"), "ssh box 'cd ~ && ls'");
    assert_eq!(there("~/{{ user }}/a b"), "ssh box \"cd ~/\\\"$MY_USER/a b\\\" && ls\"");
    assert_eq!(there("/srv/a b"), "ssh box \"cd '/srv/a b' && ls\"");
}

/// Whatever is in a value, what is sent is JSON: `jq` writes it. What no shell and no jq can say is
/// said to be left.
#[test]
fn a_body_stays_json_and_conditions_are_kept() {
    let text = "format = 1\nname = \"x\"\n[inputs.user]\n[inputs.open]\ntype = \"boolean\"\n\
                [inputs.tags]\ntype = \"list\"\n[inputs.ca_file]\ndefault = \"\"\n[connections.api]\n\
                base = \"https://a.b/\"\nca = \"{{ ca_file }}\"\n[[steps]]\nid = \"a\"\n\
                [steps.http]\non = \"api\"\nmethod = \"POST\"\nurl = \"x{% if user %}/of/{{ user }}{% endif %}\"\n\
                [steps.http.json]\nname = \"say \\\"{{ user }}\\\"\"\ntags = \"{{ tags }}\"\nn = [1, \"\"]\n\
                mode = \"{% if open %}open{% else %}shut{% endif %}\"\nall = \"{{ tags | join(',') }}\"\n\
                [[steps]]\nid = \"b\"\ncommand = [\"x\", \"{% if open %}a{% endif %}\"]\n";
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    let runbook = parsed.map_err(|diags| diags[0].title.clone()).unwrap().0;
    insta::assert_snapshot!(commands(&runbook, &runbook.steps[0]).unwrap(), @r##"
    # OPEN: `true` or `false`
    # TAGS: JSON
    # to be filled in: {tags | join(',')}
    MY_USER="$MY_USER" \
    TAGS="$TAGS" \
    OPEN="$OPEN" \
    value_1="{tags | join(',')}" \
    jq -n '{
      "name": "say \"\($ENV.MY_USER)\"",
      "tags": ($ENV.TAGS | fromjson),
      "n": [1, ""],
      "mode": "\(if ($ENV.OPEN | fromjson) | IN(false, null, 0, "", [], {}) | not then "open" else "shut" end)",
      "all": $ENV.value_1
    }' \
      | curl -sS -X POST ${CA_FILE:+--cacert} ${CA_FILE:+"$CA_FILE"} "https://a.b/x${MY_USER:+/of/$MY_USER}" \
      -H 'Content-Type: application/json' \
      --data-binary @-
    "##);
    insta::assert_snapshot!(commands(&runbook, &runbook.steps[1]).unwrap(), @r"
    # to be filled in: [if open: a]
    x '[if open: a]'
    ");
}

#[test]
fn what_is_worked_out_by_hand_takes_nobodys_name_and_only_an_expression_is_no_text() {
    let text = "format = 1\nname = \"x\"\n[inputs.value_1]\n[inputs.host]\n[connections.api]\nbase = \"https://a.b/\"\n\
                [[steps]]\nid = \"a\"\nhttp = { on = \"api\", method = \"POST\", url = \"x\", json = { \
                a = \"[prod] {{ value_1 }}\", b = \"x {{ host | replace('.', '-') }}\", c = \"{{ [host] }}\", d = \"{{ true }}\", e = \"{{ 5 }}{{ host }}\" } }\n";
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    let runbook = parsed.map_err(|diags| diags[0].title.clone()).unwrap().0;
    insta::assert_snapshot!(commands(&runbook, &runbook.steps[0]).unwrap(), @r#"
    # to be filled in: {host | replace('.', '-')}
    # to be filled in: {[host]}
    VALUE_1="$VALUE_1" \
    value_1="{host | replace('.', '-')}" \
    value_2='{[host]}' \
    value_3=true \
    value_4=5 \
    MY_HOST="$MY_HOST" \
    jq -n '{
      "a": "[prod] \($ENV.VALUE_1)",
      "b": "x \($ENV.value_1)",
      "c": ($ENV.value_2 | fromjson),
      "d": ($ENV.value_3 | fromjson),
      "e": "\($ENV.value_4)\($ENV.MY_HOST)"
    }' \
      | curl -sS -X POST https://a.b/x \
      -H 'Content-Type: application/json' \
      --data-binary @-
    "#);
}

/// The commands keep answers in a variable of their own, and a list's items are gathered for what
/// reads the list.
#[test]
fn an_input_called_response_is_not_the_answer_and_items_are_gathered() {
    let text = "format = 1\nname = \"x\"\n[inputs.response]\n[inputs.value_1]\n[inputs.names]\ntype = \"list\"\n\
                [connections.api]\nbase = \"https://a.b/\"\n[[steps]]\nid = \"a\"\n\
                http = { on = \"api\", url = \"x\", query = { name = \"{{ response }}\", of = \"{{ nm }}\" } }\n\
                for_each = \"names\"\nas = \"nm\"\nsave.count = '.boxes | length'\nsave.key = '.key'\n\
                gates = [{ that = \"count > 0\" }]\n\
                [[steps]]\nid = \"b\"\njq = '$count | add | tostring | . + $response'\n\
                [[steps]]\nid = \"c\"\nhttp = { on = \"api\", url = \"x\" }\n\
                save.status = '$response.status'\nsave.all = '.'\n\
                [[steps]]\nid = \"d\"\nfor_each = \"names\"\ncommand = [\"echo\", \"{{ item }}\"]\nsave.said = '.'\n\
                [[steps]]\nid = \"e\"\nhttp = { on = \"api\", method = \"PUT\", url = \"x\", json = { a = \"{{ names | first }}\", b = \"{{ value_1 }}\" } }\n";
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    let runbook = parsed.map_err(|diags| diags[0].title.clone()).unwrap().0;
    let all: Vec<String> =
        runbook.steps.iter().map(|step| commands(&runbook, step).unwrap()).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    # once for each NM of `names`; before the first: COUNT='[]' KEY='[]'
    RESPONSE=$(curl -sS -G https://a.b/x \
      --data-urlencode "name=$MY_RESPONSE" \
      --data-urlencode "of=$NM")
    ITEM_COUNT=$(printf '%s\n' "$RESPONSE" | jq -c '.boxes | length')
    ITEM_KEY=$(printf '%s\n' "$RESPONSE" | jq -c '.key')
    printf '%s\n' "ITEM_COUNT: $ITEM_COUNT"
    COUNT=$(printf '%s\n' "$COUNT" | jq -c --argjson one "$ITEM_COUNT" '. + [$one]')
    KEY=$(printf '%s\n' "$KEY" | jq -c --argjson one "$ITEM_KEY" '. + [$one]')

    B=$(jq -nr --argjson count "$COUNT" --arg response "$MY_RESPONSE" '$count | add | tostring | . + $response')

    RESPONSE=$(curl -sS https://a.b/x \
      -o answer -w '{"status": %{http_code}, "headers": %{header_json}}' \
      | jq '.headers |= map_values(join(", "))')
    STATUS=$(jq -nr --argjson response "$RESPONSE" '$response.status')
    ALL=$(cat answer)

    # once for each ITEM of `names`; before the first: SAID='[]'
    ITEM_SAID=$(echo "$ITEM")
    SAID=$(printf '%s\n' "$SAID" | jq -c --arg one "$ITEM_SAID" '. + [$one]')

    # to be filled in: {names | first}
    value_1='{names | first}' VALUE_1="$VALUE_1" jq -n '{
      "a": $ENV.value_1,
      "b": $ENV.VALUE_1
    }' \
      | curl -sS -X PUT https://a.b/x \
      -H 'Content-Type: application/json' \
      --data-binary @-
    "#);
}

#[test]
fn a_look_up_that_reads_the_head_is_given_it() {
    let shown = markdown(&runbook(
        "[[steps]]\nid = \"a\"\nhttp = { on = \"api\", method = \"POST\", url = \"users/\" }\n\
         [steps.already]\nhttp = { on = \"api\", url = \"users/7\", accept = [200, 404] }\n\
         find = 'if $response.status == 200 then . else empty end'\nsame = 'true'\n",
    ));
    let look = shown.split("```sh\n").nth(1).unwrap_or_default();
    assert!(look.starts_with("RESPONSE=$(curl -sS https://api.example.com/v1/users/7"), "{look}");
    assert!(look.contains("-o answer -w "), "{look}");
    assert!(look.contains("\njq --argjson response \"$RESPONSE\" 'if $response.status"), "{look}");
    assert!(look.contains("end' answer\n```"), "{look}");
}

#[test]
fn a_secret_of_the_file_is_not_shown() {
    let text = "format = 1\nname = \"x\"\n[inputs.key]\nsecret = true\ndefault = \"hunter2\"\n\
                [presets.p]\nkey = \"hunter3\"\n[[steps]]\nid = \"s\"\n\
                append = { file = \"f\", text = \"{{ key }}\" }\n";
    let parsed = Runbook::parse(&Source::new("x.toml", text), &|_, _| Err(String::new()));
    let shown = markdown(&parsed.map_err(|diags| diags[0].title.clone()).unwrap().0);
    assert!(shown.contains("`***`") && !shown.contains("hunter"), "{shown}");
    assert!(shown.contains("(umask 077; cat >> f) << EOF"), "{shown}");
}

#[test]
fn a_port_of_another_host_is_an_option_and_a_secret_goes_there_on_standard_input() {
    let there = |keys: &str| typed(&format!("[[steps]]\nid = \"a\"\ncommand = {{ {keys} }}\n"));
    assert_eq!(there("run = [\"ls\"], ssh = \"me@box:2222\""), "ssh -p 2222 me@box ls");
    assert_eq!(there("run = [\"ls\"], ssh = \"[fe80::1]:2222\""), "ssh -p 2222 fe80::1 ls");
    assert_eq!(there("run = [\"ls\"], ssh = \"fe80::1\""), "ssh fe80::1 ls");
    assert_eq!(there("run = [\"ls\"], ssh = \"\""), "ls");
    // a name may hold a port; what it may hold besides no `ssh` takes in the same words
    assert_eq!(
        there("run = [\"ls\"], ssh = \"root@{{ user }}\""),
        "# where `root@$MY_USER` is an IPv6 address: `ssh -p PORT USER@ADDRESS`\n\
         ssh \"ssh://root@$MY_USER\" ls"
    );
    assert_eq!(
        there("run = [\"ls\", \"a b\"], ssh = \"{{ user }}\""),
        "# where `$MY_USER` is empty: `sh -c` in place of `ssh …`; an IPv6 address: `ssh -p PORT USER@ADDRESS`\n\
         ssh \"ssh://$MY_USER\" \"ls 'a b'\""
    );
    insta::assert_snapshot!(
        there("run = [\"sh\", \"-c\", \"x\"], ssh = \"box\", cwd = \"/srv\", stdin = \"in\\n\", \
               env = { LANG = \"C\", KEY = \"{{ token }}\", NAME = \"{{ user }}\" }"),
        @r#"
    # one line each: `KEY`; more would be read as what comes next
    ssh box "IFS= read -r KEY; export KEY; cd /srv && LANG=C NAME=\"$MY_USER\" sh -c x" << EOF
    $TOKEN
    in
    EOF
    "#
    );
    // its quotes would be read there
    insta::assert_snapshot!(
        there("run = [\"x\"], ssh = \"box\", env = { TAGS = [\"a\", \"{{ user }}\"] }"),
        @r#"
    made_1=$(MY_USER="$MY_USER" jq -nc '["a", $ENV.MY_USER]')
    ssh box 'TAGS=`cat`; export TAGS; x' << EOF
    ${made_1}
    EOF
    "#
    );
    assert_eq!(
        there("run = [\"x\"], env = { KEY = \"{{ token }}\", TAGS = [\"a\", \"{{ user }}\"] }"),
        "made_1=$(MY_USER=\"$MY_USER\" jq -nc '[\"a\", $ENV.MY_USER]')\nKEY=\"$TOKEN\" TAGS=\"${made_1}\" x"
    );
}

#[test]
fn what_curl_cannot_be_told_of_redirects_is_said() {
    let shown = typed(
        "[[steps]]\nid = \"a\"\nhttp = { on = \"api\", method = \"PUT\", url = \"x\", redirects = 2 }\n",
    );
    insta::assert_snapshot!(shown, @r#"
    # a redirect to another host or scheme is not to be followed
    # where a 303 leads is asked for with GET, by a call of its own
    curl -sS -X PUT -L --max-redirs 2 https://api.example.com/v1/x \
      -H "Authorization: Bearer $TOKEN"
    "#);
}

#[test]
fn a_value_that_may_end_with_a_slash_is_joined_without_it() {
    for (text, joined) in [
        ("$A", "${A%/}/"),
        ("${A}/", "${A}/"),
        ("https://$A_1", "https://${A_1%/}/"),
        ("$A/x", "$A/x/"),
        ("\\$A", "\\$A/"),
        ("https://a.b/$A}", "https://a.b/$A}/"),
        ("${A%/}", "${A%/}/"),
    ] {
        assert_eq!(crate::step::manual::folder(text), joined);
    }
}

#[test]
fn what_jq_takes_for_more_than_a_text_is_kept_as_json() {
    let text = |program: &str| {
        format!(
            "[[steps]]\nid = \"a\"\nhttp = {{ on = \"api\", url = \"users/\" }}\nsave.it = '.it'\n\
             [[steps]]\nid = \"b\"\ntitle = \"{{{{ it }}}}\"\njq = '{program}'\n"
        )
    };
    for (program, kept) in [
        ("$it.a", "-c"),
        ("$it[0]", "-c"),
        ("$it | .a", "-c"),
        ("$it | keys", "-c"),
        ("$it + 1", "-c"),
        ("1 - $it", "-c"),
        ("$it == true", "-c"),
        // or these may be texts, and so is what is shown to people
        ("$it[0:2]", "-r"),
        ("$it | length", "-r"),
        ("$it + \"x\"", "-r"),
        ("$item.a", "-r"),
    ] {
        let shell = typed(&text(&program.replace("$item", "{item: $it} as $item | $item")));
        let wanted = format!("| jq {kept} '.it')");
        assert!(shell.ends_with(&format!("{wanted}\n")), "{program}\n{shell}");
    }
}

#[test]
fn a_field_in_a_note_is_named_as_people_write_it() {
    let shown = markdown(&runbook(
        "[[steps]]\nid = \"a\"\njq = '{b: {c: 1}}'\n[[steps]]\nid = \"n\"\nnote = \"Open {{ a.b.c }}.\"\n",
    ));
    assert!(shown.contains("Open $A.b.c."), "{shown}");
}

#[test]
fn one_field_is_and_two_are_as_wanted() {
    let shown = |fields: &str| {
        markdown(&runbook(&format!(
            "[[steps]]\nid = \"a\"\nhttp = {{ on = \"api\", method = \"POST\", url = \"users/\" }}\n\
             [steps.already]\nhttp = {{ on = \"api\", url = \"users/7\" }}\nfind = '.'\n{fields}"
        )))
    };
    let one = "fields.ip = { found = '.ip', wanted = \"1\" }\n";
    assert!(shown(one).contains("provided that `ip` is as wanted here"), "{}", shown(one));
    let two = &format!("{one}fields.name = {{ found = '.name', wanted = \"2\" }}\n");
    assert!(shown(two).contains("that `ip`, `name` are as wanted here"), "{}", shown(two));
}

#[test]
fn what_a_text_in_a_table_makes_is_made_first() {
    let shell = typed(
        "[[steps]]\nid = \"a\"\nhttp = { on = \"api\", method = \"POST\", url = \"x\", query = { q = \"{{ user }}\" }, form = { m = { k = \"{{ user }}\" } } }\nsave.b = '.b'\n",
    );
    insta::assert_snapshot!(shell, @r#"
    # `--url-query` needs curl 7.87 or newer
    B=$(made_1=$(MY_USER="$MY_USER" jq -nc '{
      "k": $ENV.MY_USER
    }')
    curl -sS -X POST https://api.example.com/v1/x \
      --url-query "q=$MY_USER" \
      -H "Authorization: Bearer $TOKEN" \
      --data-urlencode "m=${made_1}" \
      | jq -r '.b')
    "#);
}
