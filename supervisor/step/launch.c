/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.c - the process that is going to be the monitor, or holds a sandbox's namespaces,
 * up to where it waits for Start.
 *
 * want: { "id", "bundle", "unikernel", "console": path of a console socket, "holds": true if
 *         its root is another step; or "sandbox": see engine/plan.h }
 * have: { "accel": "kvm" | "tcg" | "none", "init": identity, "console_folder": identity,
 *         "power": true if its guest's power button can be pressed: see guest/power.h,
 *         "cid": the number of the guest's vsock, if it is to have one }
 *
 *   1 forked held, in its pid namespace; its row as a child is committed, it goes on
 *   2 it joins the cgroups, makes its namespaces and its root (supervisor/launch/), and
 *     says that it is ready; its identity as init is committed
 *
 * Nothing of what it makes is seen on the node, and all of it goes with it: undo ends it.
 * Before 2 the fence does that, for it is a child; and if our process dies it reads end
 * of file where it waits, and exits.
 */
#include "supervisor/step/console.h"
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/unikernel/binds.h"
#include "supervisor/unikernel/facts.h"
#include "supervisor/unikernel/order.h"
#include "supervisor/unikernel/vsock.h"

#include <errno.h>
#include <string.h>

#define PREFIX "launch failed"

extern const struct step_ops step_launch;

/* ---- what it is told ------------------------------------------------------------------- */

static json_object *member(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

static void hand(json_object *args, const char *name, json_object *value)
{
	if (value)
		json_put(args, name, json_object_get(value));
}

static const char *accel_of(const struct monitor *monitor, const struct config *config)
{
	if (monitor->kvm == KVM_NEVER || (monitor->kvm == KVM_MAY && config->accel == ACCEL_TCG))
		return "none";
	return monitor->kvm == KVM_MUST || config->accel == ACCEL_KVM ? "kvm" : "may";
}

static bool hears_button(struct step *step, const struct monitor *monitor,
			 const struct config *config)
{
	const struct guest *guest = guest_find(json_text(member(step->want, "unikernel"), "type", ""));

	return config->power_button && monitor->power && guest && guest->power;
}

static bool is(json_object *choice, enum guest_rootfs rootfs)
{
	return strcmp(json_text(choice, "choice", ""), guest_rootfs_name(rootfs)) == 0;
}

static bool is_shared(json_object *choice)
{
	return is(choice, ROOTFS_9PFS) || is(choice, ROOTFS_VIRTIOFS);
}

static bool writes(json_object *choice)
{
	return json_true(choice, "extra_block") || is(choice, ROOTFS_BLOCK) ||
	       is(choice, ROOTFS_CONTAINER) || is(choice, ROOTFS_9PFS);
}

/* The device under the rootfs, if that is the choice. */
static void put_disk(json_object *args, struct step *step, json_object *choice)
{
	json_object *disk;

	if (!is(choice, ROOTFS_CONTAINER))
		return;
	disk = json_object_new_object();
	json_put_text(disk, "path", json_text(choice, "path", ""));
	json_put_int(disk, "major", json_int(choice, "major", 0));
	json_put_int(disk, "minor", json_int(choice, "minor", 0));
	json_put_text(disk, "kernel", json_text(member(step->want, "unikernel"), "binary", ""));
	json_put(args, "disk", disk);
}

static int put_choice(json_object *args, struct step *step, struct step_env *env,
		      const struct spec *spec, json_object *choice, struct err *err)
{
	const char *name = json_text(member(step->want, "unikernel"), "monitor", "");
	const struct monitor *monitor = monitor_find(name);

	if (!monitor || !json_text(choice, "monitor", "")[0])
		return err_say(err, EPROTO, "the monitor \"%s\" was not chosen", name);
	if (writes(choice) && json_true(member(spec->json, "root"), "readonly"))
		return err_say(err, ENOTSUP, "root.readonly is set, and the guest would write to its "
			       "root file system (%s)", json_text(choice, "reason", ""));
	json_put_text(args, "program", json_text(choice, "monitor", ""));
	json_put_text(args, "accel", accel_of(monitor, env->config));
	json_put(args, "writable", json_object_new_boolean(writes(choice)));
	put_disk(args, step, choice);
	if (!hears_button(step, monitor, env->config))
		return 0;
	json_put(step->have, "power", json_object_new_boolean(true));
	return step_save(step, env, err);
}

/* Of virtiofsd, if there is one; or the monitor is who shares. */
static int put_share(json_object *args, struct step_env *env, const struct spec *spec,
		     json_object *choice, struct err *err)
{
	auto_json json_object *have = step_have_of(env, "virtiofsd");
	json_object *binds = NULL;
	int rc;

	hand(args, "share", member(have, "folder"));
	if (!is(choice, ROOTFS_9PFS))
		return 0;
	rc = binds_read(&binds, spec, err);
	if (rc == 0)
		json_put(args, "binds", binds);
	return rc;
}

/* The kernel knows which numbers are taken: the one in the journal is the first to be tried,
 * until init says which it has. */
static int put_cid(json_object *args, struct step *step, struct step_env *env, struct err *err)
{
	uint32_t cid = vsock_cid(env->node->random(env->node));

	json_put_int(args, "cid", cid);
	json_put_int(step->have, "cid", cid);
	return step_save(step, env, err);
}

static int put_agent(json_object *args, struct step *step, const struct vsock *v, struct err *err)
{
	auto_free char *folder = strndup(v->folder, (size_t)v->folder_len);
	char name[32];

	if (!folder)
		return err_set(err, ENOMEM, "launch");
	(void)snprintf(name, sizeof(name), VSOCK_NAME "_%u", v->port);
	json_put_text(args, "agent", folder);
	json_put_text(args, "agent_name", name);
	json_put_int(step->have, "cid", VSOCK_CID_MIN); /* no other guest sees it */
	return 0;
}

static int put_vsock(json_object *args, struct step *step, struct step_env *env, struct err *err)
{
	struct vsock v;
	int rc = vsock_read(&v, member(step->want, "unikernel"), err);

	if (rc <= 0)
		return rc;
	if (!env->config->vaccel)
		return err_say(err, EPERM, "the annotation vAccel asks for a way from the guest to this "
			       "node, which gives none; set vaccel = true in supervisor.toml");
	return v.kernel ? put_cid(args, step, env, err) : put_agent(args, step, &v, err);
}

static int make_args(json_object *args, struct step *step, struct step_env *env,
		     const struct spec *spec, json_object *choice, struct err *err)
{
	auto_free char *root = NULL;
	int rc = put_choice(args, step, env, spec, choice, err);

	if (rc == 0)
		rc = facts_root(&root, spec, json_text(step->want, "bundle", ""), err);
	if (rc < 0)
		return rc;
	json_put_text(args, "rootfs", root);
	json_put_text(args, "console", json_text(step->want, "console", ""));
	json_put_text(args, "place", env->config->run);
	json_put_text(args, "hostname", json_text(spec->json, "hostname", ""));
	json_put(args, "private_pids", json_object_new_boolean(spec->own_pidns));
	hand(args, "namespaces", member(member(spec->json, "linux"), "namespaces"));
	hand(args, "process", member(spec->json, "process"));
	hand(args, "holds", member(step->want, "holds"));
	hand(args, "masked", member(member(spec->json, "linux"), "maskedPaths"));
	json_put_words(args, "shown", env->config->monitor_paths);
	rc = put_share(args, env, spec, choice, err);
	if (rc == 0)
		rc = put_vsock(args, step, env, err);
	return rc < 0 ? rc : step_tell_cgroups(env, args, err);
}

/* It needs nothing of the node but its namespaces. */
static int make_pause_args(json_object *args, struct step *step, struct step_env *env,
			   struct err *err)
{
	json_object *sandbox = member(step->want, "sandbox");
	json_object *process = json_object_new_object();

	if (process)
		json_put(process, "noNewPrivileges", json_object_new_boolean(true));
	json_put(args, "process", process);
	json_put_text(args, "pause", json_text(step->want, "id", ""));
	json_put_text(args, "place", env->config->run);
	hand(args, "hostname", member(sandbox, "hostname"));
	hand(args, "namespaces", member(sandbox, "namespaces"));
	hand(args, "sysctls", member(sandbox, "sysctls"));
	return step_tell_cgroups(env, args, err);
}

/* What an empty or zero one asks for is nothing. */
static bool asks(json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_array:
		return json_object_array_length(value) > 0;
	case json_type_object:
		return json_object_object_length(value) > 0;
	case json_type_string:
		return json_object_get_string_len(value) > 0;
	case json_type_null:
	case json_type_boolean:
	case json_type_double:
	case json_type_int:
		break;
	}
	return json_object_get_boolean(value);
}

static json_object *at_path(json_object *o, const char *path)
{
	while (o && *path) {
		char name[32];
		int len = (int)strcspn(path, ".");

		(void)snprintf(name, sizeof(name), "%.*s", len, path);
		o = member(o, name);
		path += len + (path[len] == '.');
	}
	return o;
}

static void note_unheeded(struct step *step, struct step_env *env, const struct spec *spec,
			  json_object *choice)
{
	static const char *const unheeded[] = {
		"process.apparmorProfile", "process.selinuxLabel", "linux.sysctl",
		"linux.resources.blockIO", "linux.resources.hugepageLimits",
		"linux.resources.unified", "linux.resources.memory.swap",
		"linux.resources.memory.reservation",
	};
	size_t binds = is_shared(choice) ? 0 : binds_count(spec);

	if (binds)
		step_note(step, env, "%zu bind mounts of the spec are not given to the guest: its root "
			  "file system is no share", binds);
	for (size_t i = 0; i < ARRAY_SIZE(unheeded); i++)
		if (asks(at_path(spec->json, unheeded[i])))
			step_note(step, env, "%s of the spec is not set for the monitor", unheeded[i]);
}

/* What Start could not order is refused before anything is launched. */
static int check_order(struct step *step, const struct spec *spec, json_object *choice,
		       struct err *err)
{
	auto_json json_object *launch = json_object_new_object();
	const struct order_in in = { .unikernel = member(step->want, "unikernel"),
				     .choice = choice, .launch = launch, .spec = spec };

	json_put_text(launch, "accel", "kvm"); /* where it is looked for, it is found out later */
	return order_check(&in, err);
}

/* What an OCI runtime would do, and nobody does here. */
static int check(struct step *step, struct step_env *env, const struct spec *spec,
		 json_object *choice, struct err *err)
{
	if (spec->terminal != (json_text(step->want, "console", "")[0] != '\0'))
		return err_say(err, EINVAL, "its config.json %s a terminal, and the Create %s",
			       spec->terminal ? "asks for" : "is without",
			       spec->terminal ? "does not" : "asks for one");
	note_unheeded(step, env, spec, choice);
	return 0;
}

static int spawn_it(struct step *step, struct step_env *env, json_object *args, const char *pidns,
		    struct wait *next, struct err *err)
{
	struct spawn spawn = {
		.job = JOB_LAUNCH,
		.args = json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN),
		.in = env->stdio[0],
		.out = env->stdio[1],
		.err = env->stdio[2],
		.talks = true,
		.controls = json_true(step->have, "power"),
		.pidns = pidns,
	};

	if (json_text(step->want, "console", "")[0]) /* it has the terminal instead */
		spawn.in = spawn.out = spawn.err = SPAWN_NULL;
	if (!spawn.args || json_object_get_userdata(args))
		return err_set(err, ENOMEM, "launch");
	return step_spawn(step, env, &spawn, "launch", next, err);
}

static int begin(struct step *step, struct step_env *env, const struct spec *spec,
		 struct wait *next, struct err *err)
{
	auto_json json_object *choice = step_have_of(env, "rootfs-choice");
	auto_json json_object *args = json_object_new_object();
	int rc = check(step, env, spec, choice, err);

	if (rc == 0)
		rc = step_console_make(step, env, err);
	if (rc < 0)
		return rc;
	rc = args ? make_args(args, step, env, spec, choice, err) : err_set(err, ENOMEM, "launch");
	if (rc == 0)
		rc = check_order(step, spec, choice, err);
	return rc < 0 ? rc : spawn_it(step, env, args, spec->pidns, next, err);
}

static int begin_pause(struct step *step, struct step_env *env, struct wait *next,
		       struct err *err)
{
	bool own = strcmp(json_text(member(step->want, "sandbox"), "pids", ""), "own") == 0;
	auto_json json_object *args = json_object_new_object();
	int rc = args ? make_pause_args(args, step, env, err) : err_set(err, ENOMEM, "launch");

	return rc < 0 ? rc : spawn_it(step, env, args, own ? "" : NULL, next, err);
}

/* ---- what it says ---------------------------------------------------------------------- */

static int ready(struct step *step, struct step_env *env, const struct heard *heard,
		 struct err *err)
{
	const char *why = json_text(heard->said, "why", "");
	int rc;

	if (!json_true(heard->said, "ready"))
		return err_say(err, EPROTO, PREFIX ": it said what nobody understands");
	json_put_text(step->have, "accel", json_text(heard->said, "accel", "none"));
	hand(step->have, "cid", member(heard->said, "cid"));
	if (why[0])
		step_note(step, env, "warning: KVM can't be used, so the guest is emulated, slowly: %s",
			  why);
	rc = step_console_remove(step, env, err);
	if (rc < 0)
		return rc;
	/* It may make nothing more, and is not to be killed before anything is looked at. */
	return step_remember_init(step, env, &heard->who, heard->child, err);
}

static int listen_to(struct step *step, struct step_env *env, const struct wake *wake,
		     struct wait *next, struct err *err)
{
	struct heard heard = { .said = NULL };
	int rc = step_hear(step, env, wake, "the launch", &heard, next, err);

	if (rc < 0)
		return wake->why == WAKE_DEADLINE ? rc : err_wrap(err, PREFIX);
	if (rc == STEP_DONE)
		rc = ready(step, env, &heard, err);
	json_object_put(heard.said);
	return rc;
}

static int launch_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	struct spec spec = SPEC_INIT;
	int rc;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted; create the task again");
	if (wake->why != WAKE_BEGIN) {
		rc = listen_to(step, env, wake, next, err);
		if (rc == STEP_DONE)
			crash_point("created");
		return rc;
	}
	if (member(step->want, "sandbox")) {
		rc = begin_pause(step, env, next, err);
	} else {
		rc = spec_load(&spec, env->node, json_text(step->want, "bundle", ""), err);
		if (rc == 0)
			rc = begin(step, env, &spec, next, err);
		spec_clear(&spec);
	}
	/* Its first word wakes as well as its end. */
	return rc == STEP_WAIT ? listen_to(step, env, wake, next, err)
			       : rc < 0 ? err_wrap(err, PREFIX) : rc;
}

/* ---- the end ------------------------------------------------------------------------------ */

static int launch_undo(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	struct ident init;
	int rc = STEP_DONE;

	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the end of what was launched", err);
	if (epoch_same_pids(step->task->epoch, env->node->epoch(env->node)) &&
	    json_ident(step->have, "init", &init))
		rc = step_end_init(step, env, &init, json_text(step->want, "id", ""), next, err);
	return rc == STEP_DONE ? step_console_remove(step, env, err) : rc;
}

static int launch_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct ident init;
	int rc;

	if (!epoch_same_pids(step->task->epoch, env->node->epoch(env->node)) ||
	    !json_ident(step->have, "init", &init))
		return FACT_ABSENT;
	rc = env->node->alive(env->node, &init, err);
	return rc < 0 ? rc : rc ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_launch = {
	.kind = "launch",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 20000,
	.undo_ms = 10000,
	.apply = launch_apply,
	.undo = launch_undo,
	.verify = launch_verify,
};
