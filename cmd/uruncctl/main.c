/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/ctl.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/node_linux.h"

#include <string.h>

/* The first row that fits wins; the order is that of the usage. */
const struct verb verbs[] = {
	{ "recover", "[TASK...]", "take back what dead shims left; all tasks, or these",
	  FLAG_DRY_RUN | FLAG_BOOT | FLAG_FORGOTTEN, 0, -1, NEED_NODE, FSCK_BROKEN, FSCK_USAGE,
	  ctl_recover },
	{ "ps", "", "the tasks of this node", FLAG_ALL, 0, 0, NEED_NODE, CTL_UNKNOWN, CTL_UNKNOWN,
	  ctl_ps },
	{ "show", "TASK", "all that is known about one task, and what the host holds of it now", 0, 1,
	  1, NEED_NODE, CTL_UNKNOWN, CTL_UNKNOWN, ctl_show },
	{ "doctor", "", "the journal against the host; changes nothing", 0, 0, 0, NEED_NODE,
	  CTL_UNKNOWN, CTL_UNKNOWN, ctl_doctor },
	{ "journal check", "", "are all files of the journal whole?", 0, 0, 0, NEED_JOURNAL,
	  CTL_UNKNOWN, CTL_UNKNOWN, ctl_check },
	{ "states", "", "the life of a task, as a table", FLAG_MDOC | FLAG_PROMELA, 0, 0, NEED_NOTHING, CTL_UNKNOWN,
	  CTL_UNKNOWN, ctl_states },
	{ "version", "", "the version of this program", 0, 0, 0, NEED_NOTHING, CTL_UNKNOWN,
	  CTL_UNKNOWN, ctl_version },
	{ "help", "[VERB]", "how to call uruncctl, or one of its verbs", 0, 0, 2, NEED_NOTHING,
	  CTL_UNKNOWN, CTL_UNKNOWN, ctl_help },
	{ NULL, NULL, NULL, 0, 0, 0, NEED_NOTHING, 0, 0, NULL },
};

void ctl_complain(const struct err *err)
{
	bool denied = (err->code == EACCES || err->code == EPERM) && geteuid() != 0;

	(void)fprintf(stderr, "uruncctl: %s%s\n", err->text, denied ? "; run it as root" : "");
}

int ctl_version(struct ctl *ctl)
{
	json_object *doc;
	struct err err = ERR_INIT;

	if (!(ctl->flags & FLAG_JSON)) {
		out_line(&ctl->out, TONE_PLAIN, "uruncctl %s", URUNC_VERSION);
		return CTL_CLEAN;
	}
	doc = out_object(CTL_UNKNOWN);
	json_object_object_add(doc, "version", json_string_of(URUNC_VERSION));
	if (out_json(doc, &err) == 0)
		return CTL_CLEAN;
	ctl_complain(&err);
	return CTL_UNKNOWN;
}

int ctl_help(struct ctl *ctl)
{
	struct err err = ERR_INIT;
	int words = 0;
	const struct verb *verb = args_verb(ctl->argc, ctl->argv, &words);
	const char *near;

	if (ctl->argc == words) {
		args_usage(stdout, verb);
		return CTL_CLEAN;
	}
	near = args_near_verb(ctl->argv[0]);
	(void)err_say(&err, EINVAL, "there is no verb '%s'%s%s%s", ctl->argv[0],
		      near ? "; did you mean '" : "; see uruncctl help", near ? near : "",
		      near ? "'?" : "");
	ctl_complain(&err);
	return CTL_UNKNOWN;
}

static int prepare(struct ctl *ctl, struct err *err)
{
	int r;

	if (ctl->verb->need == NEED_NOTHING)
		return 0;
	r = config_load(&ctl->config, NULL, err);
	if (r < 0)
		return r;
	if (ctl->config.by_env)
		(void)fprintf(stderr, "config from URUNC_CONFIG: %s\n", ctl->config.file);
	r = journal_place_make(&ctl->place, ctl->config.journal, ctl->config.run, err);
	if (r < 0)
		return r;
	if (ctl->verb->need == NEED_JOURNAL)
		return 0;
	r = node_linux_new(&ctl->node, err);
	if (r == 0)
		node_linux_keep_mounts(ctl->node);
	ctl->engine = (struct engine){ .node = ctl->node, .config = &ctl->config };
	return r;
}

/* Run the verb; an answer that did not reach stdout is no answer. */
static int run(struct ctl *ctl)
{
	struct err err = ERR_INIT;
	int status = ctl->verb->broken;
	int r = prepare(ctl, &err);

	if (r == 0) {
		status = ctl->verb->run(ctl);
		r = out_flush(&err);
	}
	if (r < 0) {
		ctl_complain(&err);
		status = ctl->verb->broken;
	}
	(void)node_linux_free(ctl->node);
	config_clear(&ctl->config);
	return status;
}

int main(int argc, char **argv)
{
	struct args args;
	struct ctl ctl = { .node = NULL };
	struct err err = ERR_INIT;
	int r;

	r = args_parse(&args, argc, argv, &err);
	if (r < 0) {
		ctl_complain(&err);
		return args.verb ? args.verb->usage : CTL_UNKNOWN;
	}
	if (args.flags & FLAG_HELP) {
		args_usage(stdout, args.verb);
		return out_flush(&err) < 0 ? CTL_UNKNOWN : CTL_CLEAN;
	}
	if (args.flags & FLAG_VERSION)
		args.verb = args_verb(1, (char *const[]){ (char *)"version" }, &r);
	if (!args.verb) {
		args_usage(stderr, NULL);
		return CTL_UNKNOWN;
	}
	ctl.verb = args.verb;
	ctl.flags = args.flags;
	ctl.argc = args.argc;
	ctl.argv = args.argv;
	out_init(&ctl.out, args.flags & FLAG_NO_COLOR, args.flags & FLAG_QUIET);
	return run(&ctl);
}
