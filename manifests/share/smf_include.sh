# What start and stop methods have in common (smf_method(7)): exit statuses, and a way out that
# leaves a reason behind. To be read with `.`.

SMF_EXIT_OK=0
SMF_EXIT_NODAEMON=94
SMF_EXIT_ERR_FATAL=95
SMF_EXIT_ERR_CONFIG=96
SMF_EXIT_MON_DEGRADE=97
SMF_EXIT_MON_OFFLINE=98
SMF_EXIT_ERR_NOSMF=99
SMF_EXIT_ERR_PERM=100
SMF_EXIT_TEMP_DISABLE=101
SMF_EXIT_TEMP_TRANSIENT=102

# Whether the framework runs this script.
smf_present() {
    [ -n "$SMF_FMRI" ]
}

# Removes the framework's variables: for shells and others that are not the service itself.
smf_clear_env() {
    unset SMF_FMRI SMF_METHOD SMF_RESTARTER SMF_ZONENAME SMF_REASON_FILE
}

# smf_method_exit STATUS TOKEN REASON...
# Ends the method. The reason goes to the log and to the framework, which keeps that of a temporary
# disable where `svcs -x` finds it. The token is the reason in a word, for those who search the
# scripts.
smf_method_exit() {
    if [ $# -lt 3 ]; then
        echo "usage: smf_method_exit status token reason..." >&2
        exit $SMF_EXIT_ERR_FATAL
    fi
    smf_status=$1
    shift 2
    echo "$*" >&2
    if [ -n "${SMF_REASON_FILE-}" ]; then
        printf '%s\n' "$*" >"$SMF_REASON_FILE"
    fi
    exit "$smf_status"
}
