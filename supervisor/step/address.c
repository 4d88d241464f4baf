/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.c - the file that tells an older containerd where the shim listens.
 *
 * want: { "path": <bundle>/address, "text": "unix://..." }   no newline: 1.6 keeps it
 * have: { "file": identity }
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "journal/base/file.h"

#include <string.h>

#define TEXT_MAX 4096

extern const struct step_ops step_address;

static int address_apply(struct step *step, struct step_env *env, const struct wake *wake,
			 struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	const char *text = json_text(step->want, "text", "");
	struct path_ident what;
	int rc;

	(void)wake;
	(void)next;
	rc = env->node->write_file(env->node, path, text, strlen(text), 0600, err);
	if (rc < 0)
		return err_wrap(err, "address file");
	crash_point("address-written");
	rc = env->node->path(env->node, path, &what, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_say(err, EIO, "%s: somebody removed it", path);
	json_put_path(step->have, "file", &what);
	return step_save(step, env, err);
}

/* What it is now, if it is ours: by identity, or by what we would have written. 1/0. */
static int mine(struct step *step, struct step_env *env, struct path_ident *ret,
		struct err *err)
{
	struct node *node = env->node;
	const char *path = json_text(step->want, "path", "");
	auto_free char *text = NULL;
	struct path_ident known;
	size_t len = 0;
	int rc = node->path(node, path, ret, err);

	if (rc <= 0)
		return rc == -ENOTDIR ? 0 : rc;
	if (json_path(step->have, "file", &known))
		return known.dev == ret->dev && known.ino == ret->ino;
	rc = node->read_file(node, path, TEXT_MAX, &text, &len, err);
	if (rc < 0)
		return rc == -ENOENT || rc == -EFBIG ? 0 : rc;
	return strcmp(text, json_text(step->want, "text", "")) == 0;
}

/* What a death while it was written has left: the beginning of what we would have. */
static int remove_draft(struct step *step, struct step_env *env, struct err *err)
{
	struct node *node = env->node;
	auto_free char *text = NULL;
	struct path_ident what;
	char draft[PATH_MAX];
	size_t len = 0;
	int rc = file_draft(draft, json_text(step->want, "path", ""), err);

	if (rc == 0)
		rc = node->path(node, draft, &what, err);
	if (rc <= 0)
		return rc == -ENOTDIR ? 0 : rc;
	rc = node->read_file(node, draft, TEXT_MAX, &text, &len, err);
	if (rc < 0)
		return rc == -ENOENT || rc == -EFBIG ? 0 : rc;
	if (strncmp(text, json_text(step->want, "text", ""), len) != 0)
		return 0;
	rc = node->remove_file(node, draft, &what, err);
	return rc < 0 && rc != -ESTALE ? rc : 0;
}

static int address_undo(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident what;
	int rc = remove_draft(step, env, err);

	(void)wake;
	(void)next;
	if (rc == 0)
		rc = mine(step, env, &what, err);
	if (rc <= 0)
		return rc;
	rc = env->node->remove_file(env->node, path, &what, err);
	if (rc == -ESTALE) {
		step_note(step, env, "left alone: %s is another file now", path);
		return STEP_DONE;
	}
	return rc < 0 ? rc : STEP_DONE;
}

static int address_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct path_ident what;
	struct path_ident any;
	int rc = mine(step, env, &what, err);

	if (rc)
		return rc < 0 ? rc : FACT_PRESENT;
	rc = env->node->path(env->node, json_text(step->want, "path", ""), &any, NULL);
	return rc > 0 ? FACT_FOREIGN : FACT_ABSENT;
}

const struct step_ops step_address = {
	.kind = "address",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 5000,
	.apply = address_apply,
	.undo = address_undo,
	.verify = address_verify,
};
