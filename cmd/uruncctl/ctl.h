/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CTL_CTL_H
#define URUNC_CTL_CTL_H

/*
 * ctl.h - what every verb of uruncctl gets and gives.
 *
 * A verb is a row of the table in main.c and a function in a file of its own. It
 * prints its answer on stdout, everything else on stderr, and returns the exit
 * status. Nothing is kept and no signal is handled: being killed at any point is a
 * crash like any other, and the next call goes on from the rows.
 */

#include "cmd/uruncctl/args.h"
#include "cmd/uruncctl/out.h"
#include "journal/journal.h"
#include "supervisor/bundle/config.h"
#include "supervisor/engine/engine.h"

/* Exit status of the verbs that only read. */
enum { CTL_CLEAN = 0, CTL_FINDINGS = 1, CTL_UNKNOWN = 2 };

/* Exit status of recover, in the manner of fsck(8). */
enum { FSCK_NOTHING = 0, FSCK_ALL = 1, FSCK_LEFT = 4, FSCK_BROKEN = 8, FSCK_USAGE = 16 };

struct ctl {
	const struct verb *verb;
	unsigned flags; /* FLAG_*, see args.h */
	int argc;       /* the operands */
	char **argv;
	struct out out;
	struct config config;
	struct journal_place place; /* of config */
	struct node *node;          /* NULL if the verb does not look at the host */
	struct engine engine;
};

int ctl_recover(struct ctl *ctl);
int ctl_ps(struct ctl *ctl);
int ctl_show(struct ctl *ctl);
int ctl_doctor(struct ctl *ctl);
int ctl_check(struct ctl *ctl);
int ctl_states(struct ctl *ctl);
int ctl_version(struct ctl *ctl);
int ctl_help(struct ctl *ctl);

/* Print a failure as one line on stderr: "uruncctl: <err>", and what to do where the
 * reason is that the caller is not root. */
void ctl_complain(const struct err *err);

#endif
