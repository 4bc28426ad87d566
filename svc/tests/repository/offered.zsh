# Prints what zsh offers for $2, the beginning of a line, with the completion in the file $1. The
# shell that completes has a terminal; what its completion adds is noted in the file $3.
zmodload zsh/zpty || exit 1
name=${1:t}
cat >$3.init <<EOF
PROMPT= PS2=
autoload -Uz compinit && compinit -D -u
source $1 2>/dev/null
compdef $name ${name#_}
compadd() {
    if [[ " \${@[1,(i)(-|--)]} " == *" -"[OAD]" "* ]]; then builtin compadd "\$@"; return; fi
    local -a hits
    builtin compadd -O hits "\$@"
    print -rl -- \$hits >>$3
    builtin compadd "\$@"
}
offer() { _main_complete; print END >>$3 }
zle -C offer complete-word offer
bindkey "^I" offer
EOF
zpty shell zsh -f -i
zpty -w shell "source $3.init; print 'REA''DY'"
zpty -r shell line '*READY*'
zpty -w -n shell "$2"$'\t'
repeat 200; do grep -qs '^END$' $3 && break; sleep 0.1; done
grep -v '^END$' $3 | sort -u
zpty -d shell
