//! Guests of 32 bits.

use anyhow::{Context, ensure};
use tests::{Dom0, Outcome, Output, console_log};

use crate::{LONG, alone};

/// One answers at its console, and the store knows it.
pub fn a_guest_of_32_bits_answers(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    // The table that the first of them needs is kept for those that follow.
    answers_and_goes(dom0)?;
    let before = dom0.occupied()?;
    answers_and_goes(dom0)?;
    let after = dom0.occupied()?;
    ensure!(after == before, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}

fn answers_and_goes(dom0: &mut Dom0) -> Outcome {
    dom0.create_with("small32", "narrow", "")?;
    dom0.small_answers("narrow")?;
    dom0.ok("xm destroy narrow").map(drop)
}

/// Hypercalls, tables, exceptions and programs do what they should (`tests/kernels/src/bin/narrow`).
pub fn what_32_bits_have_works(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    answers_and_goes(dom0)?;
    let before = dom0.occupied()?;
    dom0.create_with("narrow", "checks", "vcpus = 2")?;
    let ends = |output: &Output| output.stdout.contains("narrow ends");
    let said = dom0.wait_for(&console_log("checks"), LONG, ends)?.stdout.replace('\r', "");
    let expected = include_str!("narrow.txt");
    for (number, (line, wanted)) in (1..).zip(said.lines().zip(expected.lines())) {
        ensure!(line == wanted, "line {number}: {line}\nexpected: {wanted}\nall of it:\n{said}");
    }
    ensure!(said.lines().count() == expected.lines().count(), "all of it:\n{said}");
    let gone = |output: &Output| output.stdout == before;
    dom0.wait_for(Dom0::OCCUPIED, LONG, gone).map(drop).context("it leaves something behind")
}

/// GRUB, built for Xen and 32 bits, reads a file on its disk, says what is in it, and ends.
pub fn grub_of_32_bits_reads_its_disk(dom0: &mut Dom0) -> Outcome {
    let before = dom0.occupied()?;
    dom0.ok("mount -o loop /var/lib/xen/images/escalus.img /mnt && mkdir -p /mnt/boot/grub && \
         printf 'cat /srv/www/index.html\nhalt\n' >/mnt/boot/grub/grub.cfg && umount /mnt && \
         sed 's|^name.*|name = \"grub\"|; s|^kernel.*|kernel = \"/boot/grub-i386-xen.bin\"|; \
         /^ramdisk/d; /^root/d; /^extra/d' /etc/xen/escalus >/tmp/grub && xm create -q /tmp/grub")?;
    let says = |output: &Output| output.stdout.contains("Good morrow from a guest.");
    dom0.wait_for(&console_log("grub"), LONG, says)?;
    let gone = |output: &Output| output.stdout == before;
    dom0.wait_for(Dom0::OCCUPIED, LONG, gone).map(drop)
}

/// Stock Xen has no guests of 32 bits: xend says so before there is any domain.
pub fn a_kernel_is_refused(dom0: &mut Dom0) -> Outcome {
    let before = dom0.occupied()?;
    let made = dom0.create_with("small32", "refused", "");
    let reason = made.err().map(|error| format!("{error:#}")).unwrap_or_default();
    let wanted = "a 32-bit kernel (xen-3.0-x86_32p), which this hypervisor doesn't run";
    ensure!(reason.contains(wanted), "it says: {reason}");
    let after = dom0.occupied()?;
    ensure!(after == before, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}
