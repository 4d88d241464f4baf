/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/doctor_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void doctor_tell(void *arg, const struct finding *f)
{
	struct doctor_told *t = arg;
	size_t len = strlen(t->text);

	(void)snprintf(t->text + len, sizeof(t->text) - len, "%s %s/%s%s %s -> %s\n", f->code,
		       f->key.ns, f->key.id, f->step ? " step" : "", f->text, f->fix);
}

/* The kind of the bench's files, with the fact that the want asks for. */
static int as_wanted(struct step *step, struct step_env *env, struct err *err)
{
	(void)env;
	if (json_text(step->want, "says", NULL))
		(void)err_say(err, EIO, "%s", json_text(step->want, "says", NULL));
	return (int)json_int(step->want, "fact", FACT_PRESENT);
}

static const struct step_ops seen_kind = { .kind = "file", .verify = as_wanted };
const struct step_ops *const doctor_kinds[] = { &seen_kind, NULL };

void doctor_expect(struct bench *b, const char *lines)
{
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	struct doctor_told told = { "" };
	struct err err = ERR_INIT;
	int n = doctor(&e, &b->place, doctor_tell, &told, &err);
	int wanted = 0;

	if (n < 0)
		fail_msg("%s", err.text);
	assert_string_equal(told.text, lines);
	for (const char *at = lines; *at; at++)
		wanted += *at == '\n';
	assert_int_equal(n, wanted);
}
