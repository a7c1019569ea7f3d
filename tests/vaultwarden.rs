//! The bundled `enable-sso` with its commands really run: the environment file is a real one, on
//! this machine and on another one that is reached through a real `sshd`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use runbook::fake::{Fake, Served, serve};
use runbook::source::Source;
use serde_json::json;

use crate::support::env::{Env, Output};
use crate::support::server::Server;
use crate::support::sshd::Sshd;

/// What stands in the environment file beforehand.
const BEFORE: &str = "# Vaultwarden\nDOMAIN=https://vault.example.com\nADMIN_TOKEN='$argon2id$v=19$m'\n\nLOG_LEVEL=\"info\"\n";

/// Vaultwarden, first without single sign-on, then with it.
const VAULTWARDEN: &str = "[[routes]]\npath = '/identity/sso/prevalidate'\nstatus = 400\nbody = { message = 'no' }\ntimes = 1\n\
     [[routes]]\npath = '/identity/sso/prevalidate'\nbody = { token = 'x' }\n\
     [[routes]]\npath = '/alive'\nbody = '\"now\"'\n";

fn authentik() -> Served {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/authentik/fake.toml");
    let fake = Fake::parse(&Source::new("fake.toml", fs::read_to_string(path).unwrap())).unwrap();
    let state = fake.state(&[]).unwrap();
    serve(fake, &state, 0).unwrap()
}

fn done(output: &Output) {
    assert_eq!(output.code, Some(0), "{output:#?}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Writes the inputs, with the environment file `vw.env`.
fn inputs(env: &Env, authentik: &Served, vaultwarden: &Server, restart: &str) {
    let inputs = json!({
        "service_url": vaultwarden.url(),
        "env_file": env.path("vw.env"),
        "restart_command": restart,
        "authentik_url": authentik.url(),
        "authentik_token": "rehearsal-1Jc8VbSeyR0Q4tGm",
        "credentials_file": env.path("credentials"),
    });
    fs::write(env.path("inputs.json"), inputs.to_string()).unwrap();
}

/// Enables it and takes it back; the machine is `ssh`, or this one.
fn there_and_back(env: &mut Env, ssh: &str) {
    let (authentik, vaultwarden) = (authentik(), Server::start(VAULTWARDEN));
    let file = env.path("vault warden.env");
    fs::write(&file, BEFORE).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let restarts = env.path("restarts");
    let inputs = json!({
        "service_url": vaultwarden.url(),
        "vaultwarden_ssh": ssh,
        "env_file": file,
        "restart_command": format!("grep -c '^SSO_' '{}' >> '{}' || true", file.display(), restarts.display()),
        "authentik_url": authentik.url(),
        "authentik_token": "rehearsal-1Jc8VbSeyR0Q4tGm",
        "credentials_file": env.path("credentials"),
    });
    fs::write(env.path("inputs.json"), inputs.to_string()).unwrap();
    let run = ["run", "enable-sso", "--inputs", "inputs.json", "--yes"];
    done(&env.run(&[&run[..], &["--answer", "test_login=yes"]].concat()));

    let text = fs::read_to_string(&file).unwrap();
    let block = text.strip_prefix(BEFORE).expect("what stood there stays as it was");
    let provider = &authentik.state()["providers"][0];
    let (id, secret) = (provider["client_id"].as_str(), provider["client_secret"].as_str());
    let wanted = format!(
        "# >>> single sign-on, written by runbook\nSSO_ENABLED=true\nSSO_ONLY=false\n\
         SSO_AUTHORITY={}/application/o/vaultwarden/\nSSO_CLIENT_ID={}\nSSO_CLIENT_SECRET={}\n\
         SSO_SCOPES=\"email profile offline_access\"\nSSO_PKCE=true\n# <<< single sign-on\n",
        authentik.url(),
        id.unwrap(),
        secret.unwrap()
    );
    assert_eq!(block, wanted);
    assert_eq!(mode(&file), 0o640);

    done(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(fs::read_to_string(&file).unwrap(), BEFORE);
    assert_eq!(mode(&file), 0o640);
    assert_eq!(authentik.state()["providers"], json!([]));
    // Restarted with the settings, then without them.
    assert_eq!(fs::read_to_string(&restarts).unwrap(), "7\n0\n");
    let left: Vec<_> = fs::read_dir(env.root()).unwrap().map(|one| one.unwrap().path()).collect();
    assert!(left.iter().all(|path| !path.to_string_lossy().ends_with("runbook-new")), "{left:?}");
}

#[test]
fn settings_of_this_machine_are_written_and_taken_out() {
    there_and_back(&mut Env::new(), "");
}

#[test]
fn settings_of_another_machine_are_written_and_taken_out_through_ssh() {
    let mut env = Env::new();
    let Some(sshd) = Sshd::start(&mut env) else { return };
    let destination = sshd.destination();
    there_and_back(&mut env, &destination);
    let calls = sshd.calls().join("\n");
    assert!(!calls.contains("SSO_CLIENT_SECRET="), "the secret is no argument: {calls}");
}

/// Runs it with the environment file `vw.env` as it is there, and sees that nothing is changed, neither
/// there nor in Authentik.
fn refused(env: &Env) -> Output {
    let (authentik, vaultwarden) = (authentik(), Server::start(VAULTWARDEN));
    let file = env.path("vw.env");
    let before = fs::read_to_string(&file).unwrap();
    inputs(env, &authentik, &vaultwarden, "false");
    let output = env.run(&["run", "enable-sso", "--inputs", "inputs.json", "--yes"]);
    assert_eq!(authentik.state()["providers"], json!([]));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    output
}

#[test]
fn settings_that_somebody_changed_since_are_left_alone() {
    let env = Env::new();
    let (authentik, vaultwarden) = (authentik(), Server::start(VAULTWARDEN));
    let file = env.path("vw.env");
    fs::write(&file, BEFORE).unwrap();
    inputs(&env, &authentik, &vaultwarden, "true");
    let run = ["run", "enable-sso", "--inputs", "inputs.json", "--yes"];
    done(&env.run(&[&run[..], &["--answer", "test_login=yes"]].concat()));
    let written = fs::read_to_string(&file).unwrap();
    for theirs in [
        written.replace("SSO_ONLY=false", "SSO_ONLY=true"),
        written.replace("# <<< single sign-on\n", "LOG_FILE=/var/log/vw\n"),
    ] {
        fs::write(&file, &theirs).unwrap();
        let undo = env.run(&["undo", "r1", "--yes"]);
        assert_eq!(undo.code, Some(1), "{undo:#?}");
        assert!(undo.stderr.contains("left alone"), "{undo:#?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), theirs);
        assert_ne!(authentik.state()["providers"], json!([]), "they may still use it");
    }
    fs::write(&file, BEFORE).unwrap();
    done(&env.run(&["undo", "r1", "--yes"]));
    assert_eq!(fs::read_to_string(&file).unwrap(), BEFORE);
    assert_eq!(authentik.state()["providers"], json!([]));
}

#[test]
fn a_setting_that_stands_there_already_ends_the_run_before_anything_is_changed() {
    let env = Env::new();
    let text = format!("{BEFORE}  export SSO_CLIENT_ID = secret-of-another\n");
    fs::write(env.path("vw.env"), text).unwrap();
    let output = refused(&env);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("SSO_CLIENT_ID"), "{output:#?}");
    assert!(!output.stderr.contains("secret-of-another"), "values are not read: {output:#?}");
}

#[test]
fn a_block_without_its_end_ends_the_run_before_anything_is_changed() {
    let begin = "# >>> single sign-on, written by runbook\nSSO_ENABLED=true\n";
    let end = "# <<< single sign-on\n";
    for text in
        [format!("{BEFORE}{begin}LOG_FILE=/var/log/vw\n"), format!("{begin}{BEFORE}{begin}{end}")]
    {
        let env = Env::new();
        fs::write(env.path("vw.env"), text).unwrap();
        let output = refused(&env);
        assert_eq!(output.code, Some(1), "{output:#?}");
        assert!(output.stderr.contains("step `look_at_settings` failed"), "{output:#?}");
        assert!(output.stderr.contains("a block has no end"), "{output:#?}");
    }
}

#[test]
fn an_environment_file_that_is_a_link_ends_the_run_before_anything_is_changed() {
    let env = Env::new();
    fs::write(env.path("real.env"), BEFORE).unwrap();
    std::os::unix::fs::symlink(env.path("real.env"), env.path("vw.env")).unwrap();
    let output = refused(&env);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("symbolic link"), "{output:#?}");
    assert!(output.stderr.contains("real.env"), "the file to give instead: {output:#?}");
}

#[test]
fn a_credentials_file_that_is_a_link_ends_the_run_before_anything_is_called() {
    let env = Env::new();
    fs::write(env.path("vw.env"), BEFORE).unwrap();
    fs::write(env.path("elsewhere"), "").unwrap();
    std::os::unix::fs::symlink(env.path("elsewhere"), env.path("credentials")).unwrap();
    let output = refused(&env);
    assert_eq!(output.code, Some(2), "{output:#?}");
    assert!(output.stderr.contains("step `sso/store_credentials` would fail"), "{output:#?}");
}

#[test]
fn a_bundled_runbook_uses_the_bundled_one_whatever_else_has_its_name() {
    let env = Env::new();
    fs::create_dir(env.path("runbooks")).unwrap();
    let other =
        "format = 1\nname = \"add-oidc\"\n[[steps]]\nid = \"other\"\nnote = \"not this one\"\n";
    fs::write(env.path("runbooks/add-oidc.toml"), other).unwrap();
    let output = env.run(&["rehearse", "enable-sso", "--yes"]);
    done(&output);
    assert!(output.stderr.contains("sso/create_provider"), "{output:#?}");
    assert!(
        env.run(&["rehearse", "add-oidc"]).stderr.contains("no fake"),
        "by name it is the own one"
    );
}
