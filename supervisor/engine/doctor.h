/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_DOCTOR_H
#define URUNC_ENGINE_DOCTOR_H

/*
 * doctor.h - the journal against the node, reading only.
 *
 * Every row is verified on the host, and the host is searched for things that carry
 * our names and are in no row. Nothing is changed, no lock is taken.
 */

#include "supervisor/engine/engine.h"

/* Every code there is, in order, ended by a NULL code; for people. */
struct doctor_code {
	const char *code, *name, *text;
};
extern const struct doctor_code doctor_codes[];

/* May it be removed as it is? Only asked of what urunc's own shim and runtime left. */
enum finding_safe { SAFE_NONE, SAFE_YES, SAFE_LOOK };

/* One finding. Codes are stable: "UR001 dead-owner" ... see uruncctl(8). */
struct finding {
	const char *code;      /* "UR001"                        */
	const char *name;      /* "dead-owner"                   */
	struct task_key key;   /* all empty: the node            */
	int64_t step;          /* 0: none                        */
	char text[ERR_TEXT_MAX]; /* what is wrong, with identities */
	char fix[256];         /* the next command to type       */
	enum finding_safe safe;
};

/* each() gets every finding. Return: how many there are; < 0: the host, or the journals,
 * can't be read, and what was found until then is not all. */
int doctor(struct engine *e, const struct journal_place *place,
	   void (*each)(void *arg, const struct finding *finding), void *arg, struct err *err);

/* One step's row on the host now: an enum step_fact (for uruncctl show). */
int doctor_step(struct engine *e, struct journal *j, const struct task_row *task,
		const struct step_row *row, struct err *err);

#endif
