//! What shell variables are called.

/// A name as a shell variable.
pub fn variable(name: &str) -> String {
    format!("${}", called(name))
}

/// What a shell variable for a name is called: not as one that the shell, or what it starts, gives a
/// meaning to.
pub fn called(name: &str) -> String {
    let name = name.to_uppercase();
    let begins = |start: &&str| name.starts_with(start);
    if TAKEN.contains(&name.as_str()) || TAKEN_STARTS.iter().any(begins) {
        format!("MY_{name}")
    } else {
        name
    }
}

/// Variables of bash, zsh and the system, and of the commands here.
const TAKEN: &[&str] = &[
    "ALL_PROXY",
    "CDPATH",
    "COLUMNS",
    "DIRSTACK",
    "DISPLAY",
    "EDITOR",
    "ENV",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FCEDIT",
    "FIGNORE",
    "FPATH",
    "FUNCNAME",
    "FUNCNEST",
    "GID",
    "GLOBIGNORE",
    "GROUPS",
    "HOME",
    "HOST",
    "HOSTNAME",
    "HOSTTYPE",
    "HTTPS_PROXY",
    "IFS",
    "IGNOREEOF",
    "INPUTRC",
    "LANG",
    "LANGUAGE",
    "LINENO",
    "LINES",
    "LOGNAME",
    "MACHTYPE",
    "MAIL",
    "MAILCHECK",
    "MAILPATH",
    "MANPATH",
    "NO_PROXY",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PAGER",
    "PATH",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PROMPT",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PWD",
    "RANDOM",
    "REPLY",
    "RESPONSE",
    "SECONDS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "TERM",
    "TIMEFORMAT",
    "TMOUT",
    "TMPDIR",
    "TZ",
    "UID",
    "USER",
    "USERNAME",
    "VISUAL",
];

/// What the names of others begin with.
const TAKEN_STARTS: &[&str] = &["BASH", "COMP_", "CURL_", "HIST", "LC_", "LD_", "SSH_", "SSL_"];
