/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/shim/flags.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <string.h>

const char flags_usage[] =
	"usage: containerd-shim-urunc-v2 -namespace NS -id ID -address SOCKET\n"
	"           [-publish-binary FILE] [-bundle DIR] [-socket FILE]\n"
	"           [-debug-socket FILE] [-debug] start | delete\n"
	"       containerd-shim-urunc-v2 -info <OPTIONS\n"
	"       containerd-shim-urunc-v2 -v | -version\n";

struct flag {
	const char *name;
	const char **text; /* takes a value, or */
	bool *on;          /* is a switch       */
};

/* Go's strconv.ParseBool. */
static int truth(const char *s, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "1", true },  { "t", true },  { "T", true },  { "true", true },
		{ "True", true }, { "TRUE", true }, { "0", false }, { "f", false },
		{ "F", false }, { "false", false }, { "False", false }, { "FALSE", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(s, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct flag *flag_find(const struct flag *flags, const char *name, size_t len)
{
	for (; flags->name; flags++)
		if (strlen(flags->name) == len && strncmp(flags->name, name, len) == 0)
			return flags;
	return NULL;
}

/* One flag at argv[*at], dashes passed over; moves *at past its value. */
static int flag_take(const struct flag *flags, const char *const *argv, int *at, const char *name,
		     struct err *err)
{
	const char *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct flag *f = flag_find(flags, name, len);

	if (!f)
		return err_say(err, EINVAL, "flag -%.*s is not known", (int)len, name);
	if (f->on) {
		*f->on = true;
		if (value && truth(value + 1, f->on) < 0)
			return err_say(err, EINVAL, "flag -%s is a switch: true or false, not \"%s\"",
				       f->name, value + 1);
		return 0;
	}
	if (!value && !argv[*at + 1])
		return err_say(err, EINVAL, "flag -%s needs a value", f->name);
	*f->text = value ? value + 1 : argv[++*at];
	return 0;
}

int flags_parse(struct flags *ret, int argc, const char *const *argv, struct err *err)
{
	const struct flag flags[] = {
		{ "namespace", &ret->ns, NULL },
		{ "id", &ret->id, NULL },
		{ "address", &ret->address, NULL },
		{ "publish-binary", &ret->publish_binary, NULL },
		{ "bundle", &ret->bundle, NULL },
		{ "socket", &ret->socket, NULL },
		{ "debug-socket", &ret->debug_socket, NULL },
		{ "debug", NULL, &ret->debug },
		{ "v", NULL, &ret->version },
		{ "version", NULL, &ret->version },
		{ "info", NULL, &ret->info },
		{ NULL, NULL, NULL },
	};
	int at;

	*ret = (struct flags){ .ns = "", .id = "", .address = "", .publish_binary = "",
			       .bundle = "", .socket = "", .debug_socket = "", .action = "" };
	for (at = 1; at < argc; at++) {
		const char *word = argv[at];
		int rc;

		if (word[0] != '-' || word[1] == '\0')
			break;
		if (strcmp(word, "--") == 0) {
			at++;
			break;
		}
		word += word[1] == '-' ? 2 : 1;
		if (*word == '-' || *word == '=')
			return err_say(err, EINVAL, "\"%s\" is no flag", argv[at]);
		rc = flag_take(flags, argv, &at, word, err);
		if (rc < 0)
			return rc;
	}
	if (at < argc)
		ret->action = argv[at];
	return 0;
}
