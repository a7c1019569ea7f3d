//! The golden transcripts: every folder in `tests/cases` is a test of its own.

use crate::support::transcript;

/// One test a folder: `a_b` is `tests/cases/a-b`.
macro_rules! cases {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                transcript::check(&stringify!($name).replace('_', "-"));
            }
        )*
    };
}

cases! {
    add_oidc_broken_login
    add_oidc_done
    add_oidc_duplicate_name
    add_oidc_duplicate_slug
    add_oidc_key_dropped
    add_oidc_limited_token
    add_oidc_lost_answer
    add_oidc_missing_flows
    add_oidc_no_signing_key
    add_oidc_no_token
    add_oidc_reserved_slug
    add_oidc_undo
    add_oidc_wrong_token
    adopt_on_fresh_run
    always
    always_already
    always_foreign
    always_listed
    answer_gated
    always_redone
    answered_before
    answers_unused
    append_block
    append_foreseen
    append_refused
    append_secret
    check_beside
    check_literal
    check_meant
    command
    command_unstarted
    crash_items
    differs_lines
    doubt_adopted
    doubt_differing
    doubt_deeper
    doubt_done
    doubt_done_gates
    doubt_inside
    doubt_killed
    doubt_redo
    doubt_refused
    durations
    each
    each_moved
    each_no_list
    each_resumed
    eight_mistakes
    fake_command
    flags_that_change_nothing
    forget_changed
    gate_after_change
    gate_empty_secret
    gate_fails
    gate_without_already
    guide_add_user
    input_precedence
    inputs_kept
    interrupted
    interrupted_read
    item_in_title
    jq_secret
    jsonl
    jsonl_else
    killed
    list
    lost_key
    missing_inputs
    misspelt_once
    mistakes_placed
    not_json
    note_again
    null_in_url
    one_hand
    optional_gate
    part_missing
    plan
    plan_each
    plugin_answers
    plugin_check
    prompt_rules
    prompt_waits
    read_fails
    redo_fails
    redo_gone
    redo_part
    redo_stale
    redo_when_done
    rehearse
    rehearse_elsewhere
    rehearse_writes
    remove_oidc_after_add
    remove_oidc_made_anew
    remove_oidc_token_expired
    renewed_elsewhere
    renewed_former
    renewed_given
    renewed_in_used
    renewed_mistakes
    renewed_nothing_new
    renewed_token
    resume_after_failure
    resume_which
    retry_and_until
    reveal
    retry_once
    runs_and_log
    runs_filter
    small_kinds
    step_in_doubt
    taken_names
    test_differences
    test_faults
    titles_known
    titles_told
    transcript_itself
    trust
    trust_commands
    undo
    undo_adopted
    undo_append
    undo_doubt
    undo_gate_kept
    undo_gate_not_ours
    undo_gate_rerun
    undo_in_doubt
    undo_lost
    undo_made_anew
    undo_remove
    undo_renewed
    undo_repeatable
    undo_repeatable_redone
    undo_redo_failed
    undo_redone
    undo_renamed_rerun
    undo_rerun_edited
    undo_resumed
    undo_undecided
    undo_updated
    undo_values_then
    undo_walked
    unseen
    until
    until_always
    updated_changed
    updated_inserted
    updated_input
    updated_refused
    updated_removed
    updated_renamed
    updated_renamed_secret
    use_cycle
    used_always
    used_gates
    used_keys
    used_same_name
    used_secret
    var_fails
    verbose
    version_and_usage
}

#[test]
fn every_folder_is_listed() {
    for entry in std::fs::read_dir(transcript::folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let listed = LISTED.iter().any(|case| case.replace('_', "-") == name);
        assert!(listed, "list `{name}` in tests/cases.rs: its test does not run");
    }
}
