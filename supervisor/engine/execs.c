/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/execs.h"

#include "supervisor/bundle/json.h"
#include "supervisor/life/life.h"
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h" /* after json.h */

#include <errno.h>
#include <string.h>

struct seek {
	struct journal *j;
	const char *exec_id;
	struct exec_row *ret;
	json_object *have; /* of the step that was found; owned */
};

static int seek_step(void *arg, const struct step_row *row, struct err *err)
{
	struct seek *s = arg;
	auto_json json_object *want = NULL;
	json_object *exit = NULL;
	int rc = json_read_row(&want, row->want, "the want of an exec", err);

	if (rc < 0)
		return rc;
	if (row->state != ROW_DONE || strcmp(json_text(want, "exec_id", ""), s->exec_id) != 0)
		return 0;
	json_object_put(s->have);
	s->have = NULL;
	rc = json_read_row(&s->have, row->have, "what an exec has", err);
	if (rc < 0)
		return rc;
	*s->ret = (struct exec_row){ .step = row->seq };
	if (!json_ident(s->have, "process", &s->ret->process))
		return 0;
	s->ret->exited = json_object_object_get_ex(s->have, "exit", &exit);
	s->ret->status = (uint32_t)json_int(exit, "status", 0);
	s->ret->at_ns = json_int(exit, "at_ns", 0);
	return 1;
}

static int seek_run(void *arg, const struct run_row *row, struct err *err)
{
	struct seek *s = arg;

	if (plan_of(row->plan) != PLAN_EXEC)
		return 0;
	return journal_each_step(s->j, row->seq, NEWEST_FIRST, seek_step, s, err);
}

int exec_find(struct journal *j, const char *exec_id, struct exec_row *ret, struct err *err)
{
	struct seek s = { .j = j, .exec_id = exec_id, .ret = ret };
	int rc = journal_each_run(j, NEWEST_FIRST, seek_run, &s, err);

	json_object_put(s.have);
	return rc;
}

static int put_exit(struct seek *s, uint32_t status, int64_t at_ns, struct err *err)
{
	json_object *exit = json_object_new_object();
	const char *text;

	if (exit) {
		json_put_int(exit, "status", status);
		json_put_int(exit, "at_ns", at_ns);
	}
	json_put(s->have, "exit", exit);
	text = json_write(s->have);
	if (!text || json_object_get_userdata(s->have))
		return err_set(err, ENOMEM, "note the end of exec %s", s->exec_id);
	return journal_have(s->j, s->ret->step, text, err);
}

int exec_set_exit(struct journal *j, const char *exec_id, uint32_t status, int64_t at_ns,
		  struct err *err)
{
	struct exec_row row;
	struct seek s = { .j = j, .exec_id = exec_id, .ret = &row };
	int rc = journal_each_run(j, NEWEST_FIRST, seek_run, &s, err);

	if (rc == 0)
		rc = err_say(err, ENOENT, "process does not exist %s", exec_id);
	else if (rc > 0)
		rc = put_exit(&s, status, at_ns, err);
	json_object_put(s.have);
	return rc;
}
