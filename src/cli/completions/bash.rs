//! What bash is told. It puts a word on the line as it came, so that `$(…)` in one would be run,
//! and it breaks words at `=` and `:`, where this program does not.

use std::ffi::OsString;
use std::io::{Error, Write};
use std::path::Path;

use clap::Command;
use clap_complete::env::EnvCompleter;

use super::plain;

/// What stands between two words: `IFS` in the script.
const BETWEEN: char = '\u{b}';

/// Puts together the words that bash broke, asks for those, and takes off again what stands on
/// the line already.
const WHOLE: &str = r#"_NAME_whole() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() last=-1 at word apart before=''
    for ((at = 0; at <= COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        apart=${rest%%[![:space:]]*}
        rest=${rest#"$apart"}
        if ((at == COMP_CWORD)); then
            case $rest in
                '' | *[!=:]*) word=$2 ;;
                *) word=$rest before=$rest ;;
            esac
        fi
        rest=${rest#"$word"}
        if ((last < 0)) || [[ -n $apart ]]; then
            words[++last]=$word
        else
            ((at == COMP_CWORD)) && before=${words[last]}$before
            words[last]+=$word
        fi
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$last
    _clap_complete_NAME "$1" "${words[last]}" "$3"
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
"#;

pub(crate) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == self.name()
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut script = Vec::new();
        let bash = clap_complete::env::Bash;
        bash.write_registration(var, name, bin, completer, &mut script)?;
        let script = String::from_utf8_lossy(&script);
        let script =
            script.replace(&format!("-F _clap_complete_{name} "), &format!("-F _{name}_whole "));
        write!(buf, "{}{script}", WHOLE.replace("NAME", name))
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut words = Vec::new();
        clap_complete::env::Bash.write_complete(cmd, args, current_dir, &mut words)?;
        let words = String::from_utf8_lossy(&words);
        // names of files are among them
        let harmless: Vec<&str> = words.split(BETWEEN).filter(|word| plain(word)).collect();
        write!(buf, "{}", harmless.join(&BETWEEN.to_string()))
    }
}
