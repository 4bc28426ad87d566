const NAMELESS: &str = "frames of the hypervisor are nobody's to name";
const IO_APIC: &str = "the I/O APIC is not even read through a mapping: its registers are behind an index";
const REGISTERS: &str = "only registers that kernels need are there, not whatever the processor has";
const MACHINE: &str = "how much there is of what differs";
const MISSING: &str = "ours has no such operation, and says so";
const ORDER: &str = "of two mistakes the other one is told of";
const PREPARED: &str = "a device or an interrupt is told of that isn't there, or nothing has to be done for it";

const fn difference(
    part: &'static str,
    name: &'static str,
    [ours, xens]: [&'static str; 2],
    reason: &'static str,
) -> Difference {
    Difference { part, name, ours, xens, reason }
}

const DIFFERENCES: &[Difference] = &[
    difference("tables", "pin a table with an entry for", ["-EPERM", "0"], IO_APIC),
    difference("tables", "the I/O APIC", ["-EINVAL", "0"], IO_APIC),
    difference("tables", "map it", ["-EPERM", "0"], IO_APIC),
    difference("tables", "the hypervisor", ["-ESRCH", "0"], NAMELESS),
    difference("tables", "an operation on it", ["-ESRCH", "*"], NAMELESS),
    difference("tables", "map its frame", ["-ESRCH", "0"], NAMELESS),
    difference("tables", "map device memory as its", ["-ESRCH", "-EPERM"], NAMELESS),
    difference(
        "descriptors",
        "one in the LDT",
        ["trap 13, error 0x1c", "*"],
        "an LDT's pages are looked for when it is set: one that isn't there is empty",
    ),
    difference("register 0x345", "rdmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0x40000000", "rdmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0xc0010000", "rdmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0xc0010000", "wrmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0xc0010010", "rdmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0xc0011029", "rdmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0xc0011029", "wrmsr", ["trap 13, error 0x0", "no trap"], REGISTERS),
    difference("register 0xffffffff", "says", ["*", "*"], MACHINE),
    difference(
        "register 0xffffffff",
        "cut off",
        ["trap 6", "*"],
        "a prefix that ends with its page is no prefix",
    ),
    difference("events", "a physical interrupt that isn't mapped", ["-EINVAL", "-EPERM"], PREPARED),
    difference("event_channel_op pirq", "*", ["-EINVAL", "-EPERM"], PREPARED),
    difference("events", "another command", ["-ENOSYS", "*"], MISSING),
    difference("time", "a vcpu's operation", ["-ENOSYS", "*"], MISSING),
    difference("time", "a place for the clock", ["-ENOSYS", "0"], MISSING),
    difference("vcpu_op clock", "*", ["-ENOSYS", "*"], MISSING),
    difference("time", "pinned to a processor", ["-ENOSYS", "*"], MISSING),
    difference("time", "not pinned", ["-ENOSYS", "0"], MISSING),
    difference("sched_op pin", "*", ["-ENOSYS", "*"], MISSING),
    difference("time", "*", ["-EINVAL", "-ENXIO"], ORDER),
    difference(
        "time",
        "no place",
        ["-EFAULT", "0"],
        "where a vcpu's state goes is written to at once",
    ),
    difference(
        "vcpu_op area",
        "*",
        ["-EFAULT", "0"],
        "where a vcpu's state goes is written to at once",
    ),
    difference("calls", "a number without a call", ["-ENOSYS", "*"], MISSING),
    difference("calls", "is", ["*", "*"], "features are of ours"),
    difference("calls", "are", ["*", "*"], "features are of ours"),
    difference("calls", "what it says of itself", ["4096", "-EINVAL"], ORDER),
    difference(
        "calls",
        "its entry",
        ["-ENOSYS", "-EINVAL"],
        "no list of calls is in another",
    ),
    difference("calls", "the hypervisor", ["0", "-EFAULT"], "a list of nothing is anywhere"),
    difference("calls", "not canonical", ["0", "-EFAULT"], "a list of nothing is anywhere"),
    difference("calls", "give it back again", ["0", "1"], "a frame is given back once"),
    difference("calls", "map it again", ["-EPERM", "-EBUSY"], "a frame is given back once"),
    difference("calls", "another command", ["-ENOSYS", "*"], MISSING),
    difference("calls", "runs too large", ["-EINVAL", "-EPERM"], ORDER),
    difference("calls", "as many as can be", ["-EPERM", "-EFAULT"], ORDER),
    difference("calls", "of what wraps", ["-EPERM", "-EINVAL"], ORDER),
    difference("calls", "of what is none", ["*", "*"], PREPARED),
    difference("calls", "from nowhere", ["*", "*"], PREPARED),
    difference("calls", "an I/O APIC's", ["-EINVAL", "0"], "there are no registers beyond the last"),
    difference("memory_op current", "*", ["*", "*"], MACHINE),
    difference("memory_op add", "*", ["-ENOSYS", "*"], MISSING),
    difference("memory_op map", "*", ["-ENOSYS", "-EFAULT"], MISSING),
    difference("memory_op machine map", "*", ["-EINVAL", "-EFAULT"], ORDER),
    difference("memory_op exchange", "*", ["-EFAULT", "0"], ORDER),
    difference("physdev_op ports", "*", ["0", "-EFAULT"], PREPARED),
    difference("physdev_op read", "*", ["-EINVAL", "-EFAULT"], ORDER),
    difference("physdev_op write", "*", ["-EPERM", "-EINVAL"], ORDER),
    difference("physdev_op end", "*", ["0", "-EINVAL"], PREPARED),
    difference("physdev_op map", "*", ["-ENODEV", "-EFAULT"], ORDER),
    difference("physdev_op gsi", "*", ["0", "-EEXIST"], PREPARED),
];
