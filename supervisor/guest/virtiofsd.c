/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiofsd.c - the process that shares the container's rootfs with its guest, if that is
 * the choice.
 *
 * want: { "id", "bundle", "unikernel" }
 * have: { "folder": <run>/virtiofs/<random>, "exec": true, "process": identity }
 *       or { }: another choice
 *
 *   1 the folder of its socket is named (committed), and made
 *   2 forked held, in a pid namespace of its own; its row as a child is committed, it goes on
 *   3 it makes its root as a monitor does (supervisor/launch/): the rootfs, the socket's
 *     folder and little else; it listens, says that it is ready, and is told to become
 *     virtiofsd
 *   4 it has: what runs is no child any more, but have.process (committed)
 *
 * It is in the monitor's cgroups, but root, for it serves the files of all users; of root's
 * capabilities it has those that this takes. A rootfs that is read only is served so.
 *
 * It goes when its monitor lets go of the socket. Undo ends it, if not, and removes socket
 * and folder, known by their random name. Before 4 the fence ends it.
 */
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/json.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/launch/launch.h"
#include "supervisor/unikernel/binds.h"
#include "supervisor/unikernel/guests.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PREFIX "virtiofsd failed"

extern const struct step_ops step_virtiofsd;

/* ---- what it is told ----------------------------------------------------------------- */

/* To serve every user's files, to shut itself in, and to drop what is left. */
#define CAPS "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\",\"CAP_SETGID\"," \
	     "\"CAP_SETUID\",\"CAP_MKNOD\",\"CAP_SETFCAP\",\"CAP_SYS_CHROOT\",\"CAP_SETPCAP\"]"

static const char always[] =
	"{\"serves\":true,\"accel\":\"none\",\"private_pids\":true,"
	"\"namespaces\":[{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}],"
	"\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"noNewPrivileges\":true,\"capabilities\":{"
	"\"bounding\":" CAPS ",\"effective\":" CAPS ",\"permitted\":" CAPS "}}}";

static int make_args(json_object *args, struct step *step, struct step_env *env,
		     json_object *choice, struct err *err)
{
	struct spec spec = SPEC_INIT;
	json_object *binds = NULL;
	json_object *root = NULL;
	int rc = spec_load(&spec, env->node, json_text(step->want, "bundle", ""), err);

	if (rc == 0)
		rc = binds_read(&binds, &spec, err);
	if (rc == 0) {
		(void)json_object_object_get_ex(spec.json, "root", &root);
		json_put(args, "writable", json_object_new_boolean(!json_true(root, "readonly")));
		json_put(args, "binds", binds);
	}
	spec_clear(&spec);
	if (rc < 0)
		return rc;
	json_put_text(args, "rootfs", json_text(choice, "path", ""));
	json_put_text(args, "place", env->config->run);
	json_put_text(args, "program", json_text(choice, "virtiofsd", ""));
	json_put_text(args, "share", json_text(step->have, "folder", ""));
	json_put_words(args, "shown", env->config->monitor_paths);
	return step_tell_cgroups(env, args, err);
}

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)

/* Words that both virtiofsds know, QEMU's and the one that came after it. */
static int tell_order(struct step_env *env, const struct ident *who, struct err *err)
{
	static const char *const words[] = {
		"--fd=" TEXT(LAUNCH_SHARE_FD), "-f",
		"-o", "source=" LAUNCH_ROOTFS ",sandbox=chroot,cache=auto,xattr",
	};
	auto_json json_object *choice = step_have_of(env, "rootfs-choice");
	auto_json json_object *order = json_object_new_object();
	json_object *argv = json_object_new_array();
	const char *text;

	json_append(argv, json_object_new_string(json_text(choice, "virtiofsd", "")));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		json_append(argv, json_object_new_string(words[i]));
	json_put(order, "argv", argv);
	text = order && !json_object_get_userdata(order) ? json_write(order) : NULL;
	return text ? env->node->tell(env->node, who, text, err) : err_set(err, ENOMEM, PREFIX);
}

/* ---- the folder of its socket ------------------------------------------------------------ */

static int make_folder(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *above = NULL;
	auto_free char *folder = NULL;
	int rc;

	if (asprintf(&above, "%s/virtiofs", env->config->run) < 0)
		above = NULL;
	if (!above || asprintf(&folder, "%s/%016" PRIx64, above, env->node->random(env->node)) < 0)
		folder = NULL;
	if (!folder)
		return err_set(err, ENOMEM, PREFIX);
	json_put_text(step->have, "folder", folder);
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = env->node->make_dir(env->node, above, 0700, err);
	if (rc >= 0)
		rc = env->node->make_dir(env->node, folder, 0711, err);
	crash_point("share-made");
	return rc < 0 ? rc : 0;
}

/* What it has by that name now, if anything. */
static int remove_socket(struct step_env *env, const char *folder, struct err *err)
{
	auto_free char *path = NULL;
	struct path_ident what;
	int rc;

	if (asprintf(&path, "%s/" LAUNCH_SHARE_NAME, folder) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, PREFIX);
	}
	rc = env->node->path(env->node, path, &what, err);
	return rc > 0 ? env->node->remove_file(env->node, path, &what, err) : rc;
}

static int remove_folder(struct step *step, struct step_env *env, struct err *err)
{
	const char *folder = json_text(step->have, "folder", "");
	struct path_ident what;
	int rc = folder[0] ? env->node->path(env->node, folder, &what, err) : 0;

	if (rc <= 0)
		return rc;
	rc = remove_socket(env, folder, err);
	crash_point("share-socket-gone");
	if (rc >= 0)
		rc = env->node->remove_dir(env->node, folder, &what, err);
	return rc < 0 ? rc : 0;
}

/* ---- make it ------------------------------------------------------------------------------ */

static int spawn_it(struct step *step, struct step_env *env, json_object *choice,
		    struct wait *next, struct err *err)
{
	auto_json json_object *args = json_tokener_parse(always);
	struct spawn spawn = {
		.job = JOB_LAUNCH,
		.in = SPAWN_NULL,
		.out = SPAWN_NULL,
		.err = env->stdio[2],
		.talks = true,
		.pidns = "",
	};
	int rc = args ? make_args(args, step, env, choice, err) : err_set(err, ENOMEM, PREFIX);

	if (rc < 0)
		return rc;
	spawn.args = json_object_get_userdata(args) ? NULL : json_write(args);
	if (!spawn.args)
		return err_set(err, ENOMEM, PREFIX);
	return step_spawn(step, env, &spawn, "virtiofsd", next, err);
}

static int begin(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	auto_json json_object *choice = step_have_of(env, "rootfs-choice");
	int rc;

	if (!choice)
		return err_say(err, EIO, "the choice can't be read from the journal");
	if (strcmp(json_text(choice, "choice", ""), guest_rootfs_name(ROOTFS_VIRTIOFS)) != 0)
		return STEP_DONE;
	rc = make_folder(step, env, err);
	return rc < 0 ? rc : spawn_it(step, env, choice, next, err);
}

/* One word of it. It has become virtiofsd when its end of the talk is closed after the last;
 * what follows that is an error, or its end. */
static int answer(struct step *step, struct step_env *env, const struct heard *heard,
		  struct err *err)
{
	if (json_true(heard->said, "ready"))
		return tell_order(env, &heard->who, err);
	if (!json_true(heard->said, "exec"))
		return err_say(err, EPROTO, "it said what nobody understands");
	json_put(step->have, "exec", json_object_new_boolean(true));
	return step_save(step, env, err);
}

static int listen_to(struct step *step, struct step_env *env, const struct wake *wake,
		     struct wait *next, struct err *err)
{
	struct heard heard;
	int rc;

	do {
		heard = (struct heard){ .said = NULL };
		rc = step_hear(step, env, wake, "virtiofsd", &heard, next, err);
		if (rc == STEP_DONE)
			rc = answer(step, env, &heard, err);
		json_object_put(heard.said);
	} while (rc == STEP_DONE);
	/* No descriptor to wait at: it has closed its end. */
	if (rc == STEP_WAIT && next->fd < 0 && json_true(step->have, "exec"))
		return step_remember(step, env, "process", &heard, err);
	return rc;
}

static int virtiofsd_apply(struct step *step, struct step_env *env, const struct wake *wake,
			   struct wait *next, struct err *err)
{
	int rc;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted; create the task again");
	rc = wake->why == WAKE_BEGIN ? begin(step, env, next, err) : STEP_WAIT;
	/* Its first word wakes as well as its end. */
	if (rc == STEP_WAIT)
		rc = listen_to(step, env, wake, next, err);
	return rc < 0 ? err_wrap(err, PREFIX) : rc;
}

/* ---- its end -------------------------------------------------------------------------------- */

static bool is_of_now(struct step *step, struct step_env *env, struct ident *ret)
{
	return epoch_same_pids(step->task->epoch, env->node->epoch(env->node)) &&
	       json_ident(step->have, "process", ret);
}

static int virtiofsd_undo(struct step *step, struct step_env *env, const struct wake *wake,
			  struct wait *next, struct err *err)
{
	struct ident who;
	int status;
	int rc = 0;

	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the end of virtiofsd", err);
	if (is_of_now(step, env, &who)) {
		rc = step_kill(env, &who, next, err);
		if (rc == STEP_WAIT)
			step_thaw_monitor(env);
		if (rc != STEP_DONE)
			return rc;
		(void)env->node->reap(env->node, &who, &status, NULL);
		env->node->forget(env->node, &who);
	}
	return remove_folder(step, env, err);
}

static int virtiofsd_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct ident who;
	int rc;

	if (!json_text(step->have, "folder", "")[0])
		return FACT_PRESENT; /* nothing is wanted, and nothing is missing */
	if (!is_of_now(step, env, &who))
		return FACT_ABSENT;
	rc = env->node->alive(env->node, &who, err);
	if (rc == 0 && step->task->init.pid)
		rc = env->node->alive(env->node, &step->task->init, err) == 0; /* it goes with it */
	return rc < 0 ? rc : rc ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_virtiofsd = {
	.kind = "virtiofsd",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 20000,
	.undo_ms = 10000,
	.apply = virtiofsd_apply,
	.undo = virtiofsd_undo,
	.verify = virtiofsd_verify,
};
