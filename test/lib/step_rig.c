/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/step_rig.h"

#include "journal/base/cleanup.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void must(int rc, const struct err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

static char *quoted(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static void make_task(struct rig *rig)
{
	struct err err = ERR_INIT;

	must(journal_set_text(rig->j, TASK_EPOCH, FAKE_EPOCH, &err), &err);
	must(journal_set_text(rig->j, TASK_RUNTIME, "/usr/bin/runc", &err), &err);
	must(journal_set_text(rig->j, TASK_RUNTIME_ROOT, "/r/default", &err), &err);
	must(journal_set_bundle(rig->j, "/b/c1", 1, 50, &err), &err);
	must(journal_task(rig->j, &rig->task, &err), &err);
}

static int first_step(void *arg, const struct step_row *row, struct err *err)
{
	(void)err;
	*(int64_t *)arg = row->seq;
	return 1;
}

void rig_open(struct rig *rig, const char *kind, const char *want)
{
	struct task_key key;
	struct planned planned = { .kind = kind };
	struct err err = ERR_INIT;
	int64_t run = 0;

	memset(rig, 0, sizeof(*rig));
	fake_node_init(&rig->f);
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/step-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->root, sizeof(rig->root), "%s/journal", rig->dir);
	(void)snprintf(rig->run, sizeof(rig->run), "%s/run", rig->dir);
	must(journal_place_make(&rig->place, rig->root, rig->run, &err), &err);
	must(task_key_make(&key, "/c.sock", "default", "c1", &err), &err);
	must(journal_open(&rig->j, &rig->place, &key, JOURNAL_CREATE, &err), &err);
	make_task(rig);
	rig->config = (struct config){ .run = strdup("/run/urunc"), .runtime_timeout_s = 120 };
	rig->ops = step_kind(kind);
	assert_non_null(rig->ops);
	rig->want = quoted(want);
	planned.want = rig->want;
	must(journal_plan(rig->j, "create", &planned, 1, 1, &run, &err), &err);
	must(journal_each_step(rig->j, run, OLDEST_FIRST, first_step, &rig->seq, &err), &err);
	rig->env = (struct step_env){
		.node = &rig->f.node, .journal = rig->j, .config = &rig->config,
		.stdio = { -1, -1, -1 },
	};
}

void rig_beside(struct rig *rig, const char *kind, const char *have)
{
	const struct planned planned = { .kind = kind, .want = "{}" };
	auto_free char *text = quoted(have);
	struct err err = ERR_INIT;
	int64_t run = 0;
	int64_t seq = 0;

	must(journal_plan(rig->j, "start", &planned, 1, 3, &run, &err), &err);
	must(journal_each_step(rig->j, run, OLDEST_FIRST, first_step, &seq, &err), &err);
	must(journal_have(rig->j, seq, text, &err), &err);
	must(journal_intend(rig->j, seq, FAKE_EPOCH, false, 4, &err), &err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void rig_close(struct rig *rig)
{
	journal_close(rig->j);
	task_row_clear(&rig->task);
	config_clear(&rig->config);
	fake_node_clear(&rig->f);
	free(rig->want);
	(void)nftw(rig->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The step as its row has it now. */
static struct step load(struct rig *rig)
{
	struct err err = ERR_INIT;
	struct step_row row;
	struct step step = { .seq = rig->seq, .ops = rig->ops, .task = &rig->task,
			     .epoch = FAKE_EPOCH };

	task_row_clear(&rig->task);
	must(journal_task(rig->j, &rig->task, &err), &err);
	must(journal_step(rig->j, rig->seq, &row, &err), &err);
	step.want = json_tokener_parse(row.want);
	step.have = json_tokener_parse(row.have);
	assert_non_null(step.want);
	assert_non_null(step.have);
	step_row_clear(&row);
	rig->next = (struct wait){ .fd = -1 };
	rig->err = (struct err)ERR_INIT;
	return step;
}

static int done(struct rig *rig, struct step *step, int rc)
{
	/* S1: a failure has its sentence, a success none. */
	if (rc < 0)
		assert_true(rig->err.code > 0 && rig->err.text[0]);
	if (rc == STEP_WAIT)
		assert_true(rig->next.child_seq || rig->next.fd >= 0 || rig->next.at_ms);
	json_object_put(step->want);
	json_object_put(step->have);
	return rc;
}

static int hear(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	const char *said = ((struct fake_node *)node)->said;

	(void)who;
	if (!said)
		return 0;
	if (!*said)
		return err_say(err, EPIPE, "it has closed its end");
	*ret = strdup(said);
	return 1;
}

static int talk_fd(struct node *node, const struct ident *who, struct err *err)
{
	int fd = ((struct fake_node *)node)->talk;

	(void)who;
	return fd < 0 ? err_say(err, -fd, "it has no talk") : fd;
}

static int tell(struct node *node, const struct ident *who, const char *text, struct err *err)
{
	struct fake_node *f = (struct fake_node *)node;

	(void)who;
	(void)err;
	(void)snprintf(f->line, sizeof(f->line), "%s", text);
	return 0;
}

void rig_talks(struct rig *rig, int talk)
{
	rig->f.node.hear = hear;
	rig->f.node.talk_fd = talk_fd;
	rig->f.node.tell = tell;
	rig->f.said = NULL;
	rig->f.talk = talk;
}

int rig_probe(struct rig *rig)
{
	struct step step = load(rig);
	struct err err = ERR_INIT;
	int rc = rig->ops->probe ? rig->ops->probe(&step, &rig->env, &rig->err) : FACT_ABSENT;

	must(step_save(&step, &rig->env, &err), &err);
	if (rc >= 0 && rc != FACT_FOREIGN)
		must(journal_intend(rig->j, rig->seq, FAKE_EPOCH, false, 2, &err), &err);
	json_object_put(step.want);
	json_object_put(step.have);
	return rc;
}

static int call(struct rig *rig, step_fn *fn, const struct wake *wake)
{
	struct step step = load(rig);
	int rc = fn(&step, &rig->env, wake, &rig->next, &rig->err);

	return done(rig, &step, rc);
}

int rig_apply(struct rig *rig, enum wake_why why)
{
	return call(rig, rig->ops->apply, &(struct wake){ .why = why });
}

int rig_undo(struct rig *rig, enum wake_why why)
{
	return call(rig, rig->ops->undo, &(struct wake){ .why = why });
}

static int child_ends(struct rig *rig, step_fn *fn, enum wake_why why, int status,
		      const char *output)
{
	struct child_row child = { .ident = rig->f.child };
	struct wake wake = { .why = why, .status = status, .child = &child };

	rig->f.output = output;
	for (size_t i = 0; i < rig->f.n_procs; i++)
		if (rig->f.procs[i].info.ident.pid == rig->f.child.pid)
			rig->f.procs[i].gone = true;
	return call(rig, fn, &wake);
}

int rig_apply_child(struct rig *rig, int status, const char *output)
{
	return child_ends(rig, rig->ops->apply, WAKE_CHILD, status, output);
}

int rig_undo_child(struct rig *rig, int status, const char *output)
{
	return child_ends(rig, rig->ops->undo, WAKE_CHILD, status, output);
}

int rig_undo_late(struct rig *rig)
{
	return child_ends(rig, rig->ops->undo, WAKE_DEADLINE, KILLED_BY(9), "");
}

int rig_verify(struct rig *rig)
{
	struct step step = load(rig);
	int fact = rig->ops->verify(&step, &rig->env, &rig->err);

	json_object_put(step.want);
	json_object_put(step.have);
	return fact;
}

const char *rig_have(struct rig *rig)
{
	struct err err = ERR_INIT;
	struct step_row row;

	must(journal_step(rig->j, rig->seq, &row, &err), &err);
	for (char *p = row.have; *p; p++)
		if (*p == '"')
			*p = '\'';
	(void)snprintf(rig->err.text, sizeof(rig->err.text), "%s", row.have);
	step_row_clear(&row);
	return rig->err.text;
}

void rig_set_have(struct rig *rig, const char *have)
{
	auto_free char *text = quoted(have);
	struct err err = ERR_INIT;

	must(journal_have(rig->j, rig->seq, text, &err), &err);
}

static int seek_note(void *arg, const struct note_row *row, struct err *err)
{
	(void)err;
	return strstr(row->text, arg) != NULL;
}

bool rig_noted(struct rig *rig, const char *text)
{
	return journal_each_note(rig->j, seek_note, (void *)text, NULL) == 1;
}
