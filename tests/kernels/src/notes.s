# What a kernel says of itself (elfnote.h), apart from what only one width has to say. `word` is
# what puts an address there.
    .macro note type
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 3f - 2f, \type
    .asciz "Xen"
2:
    .endm
    .macro end_note
3:  .balign 4
    .popsection
    .endm

    note 6
    .asciz "escalus-test"
    end_note
    note 7
    .asciz "1"
    end_note
    note 5
    .asciz "xen-3.0"
    end_note
    note 8
    .asciz "generic"
    end_note
    note 9
    .asciz "yes"
    end_note
    note 3
    word VIRT_BASE
    end_note
    note 4
    word 0
    end_note
    note 1
    word entry
    end_note
