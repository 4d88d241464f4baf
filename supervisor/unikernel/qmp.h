/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_QMP_H
#define URUNC_UNIKERNEL_QMP_H

/*
 * qmp.h - the little of QEMU's machine protocol that presses a guest's power button: what
 * is said to QEMU, and what one line of its answers means. Pure; a line is not to be
 * trusted.
 */

#include "journal/base/err.h"

#include <stdint.h>

#define QMP_ASK_MAX 160 /* bytes of the text, with its NUL */

/* The lines that ask for it; @id is in the answer. QEMU reads them when it has come up,
 * and takes the first only once, which is no matter. */
void qmp_ask_power_off(char text[QMP_ASK_MAX], int64_t id);

enum qmp_line {
	QMP_OTHER = 0, /* its greeting, an event, an answer to something else */
	QMP_DONE = 1,
};

/**
 * qmp_read() - one line of QEMU's
 *
 * Return: an enum qmp_line; -EIO QEMU has refused what @id asked for; -EPROTO it is no line
 * of this protocol; -ENOMEM.
 */
int qmp_read(const char *line, int64_t id, struct err *err);

#endif
