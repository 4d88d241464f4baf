/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_STEP_RIG_H
#define URUNC_TEST_STEP_RIG_H

/*
 * step_rig.h - one step, in the engine's place: a real journal, a fake node.
 *
 * The task is default/c1, its bundle /b/c1, its runtime /usr/bin/runc with its root
 * /r/default. Every call puts the step together anew from its row, as the engine may.
 */

#include "supervisor/bundle/config.h"
#include "supervisor/step/step.h"
#include "test/lib/fake_node.h"

struct rig {
	struct fake_node f;
	struct journal *j;
	struct config config;
	struct step_env env;
	struct task_row task;
	const struct step_ops *ops;
	char *want;
	int64_t seq;
	struct wait next; /* what the last call waits for */
	struct err err;   /* what it said                 */
	char dir[64];
	char root[80], run[80];
	struct journal_place place;
};

/* @want: JSON, with ' for ". Fails the test if it can't. */
void rig_open(struct rig *rig, const char *kind, const char *want);
void rig_close(struct rig *rig);
/* Another step of the task, under way, with this in its row. */
void rig_beside(struct rig *rig, const char *kind, const char *have);

/* Init was launched: f.said is what it says, told to it is f.line. @talk: the descriptor to
 * wait on for its words, or < 0: it can't be waited for. */
void rig_talks(struct rig *rig, int talk);

int rig_probe(struct rig *rig); /* and intend, with what it has put into have */
int rig_apply(struct rig *rig, enum wake_why why);
int rig_undo(struct rig *rig, enum wake_why why);
int rig_verify(struct rig *rig);
/* The child that was spawned last has ended; @status as of wait(2). */
int rig_apply_child(struct rig *rig, int status, const char *output);
int rig_undo_child(struct rig *rig, int status, const char *output);
/* It was killed, for its time was over. */
int rig_undo_late(struct rig *rig);

/* have as text, with ' for "; lent until the next call. */
const char *rig_have(struct rig *rig);
void rig_set_have(struct rig *rig, const char *have);
/* Is there a note that holds this text? */
bool rig_noted(struct rig *rig, const char *text);

#define EXITED(code) ((code) << 8)
#define KILLED_BY(n) (n)

#endif
