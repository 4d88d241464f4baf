/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/config.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/toml.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (64 * 1024) /* bytes of a config file */
#define DAYS_MAX 36500
#define SECONDS_MAX (24 * 3600)

static int set_text(char **field, const struct toml_value *value, struct err *err)
{
	char *text;
	int rc = toml_want(value, TOML_TEXT, err);

	if (rc < 0)
		return rc;
	text = strdup(value->text);
	if (!text)
		return err_set(err, ENOMEM, "%s", value->key);
	free(*field);
	*field = text;
	return 0;
}

/* A folder that everything else hangs on: absolute, and no way up. */
static int set_folder(char **field, const struct toml_value *value, struct err *err)
{
	int rc = set_text(field, value, err);

	if (rc < 0)
		return rc;
	if ((*field)[0] != '/' || (*field)[1] == '\0' || strstr(*field, "/../") ||
	    strstr(*field, "//"))
		return err_say(err, EINVAL, "%s must be an absolute path of a folder",
			       value->key);
	return 0;
}

static int set_int(int *field, const struct toml_value *value, int max, struct err *err)
{
	int rc = toml_want(value, TOML_INT, err);

	if (rc < 0)
		return rc;
	if (value->number < 0 || value->number > max)
		return err_say(err, EINVAL, "%s must be from 0 to %d", value->key, max);
	*field = (int)value->number;
	return 0;
}

/* One of a few words: its place among them. @words: for people. */
static int set_word(int *field, const struct toml_value *value, const char *const *list,
		    const char *words, struct err *err)
{
	int rc = toml_want(value, TOML_TEXT, err);

	for (int i = 0; rc == 0 && list[i]; i++) {
		if (strcmp(value->text, list[i]) != 0)
			continue;
		*field = i;
		return 0;
	}
	return rc < 0 ? rc : err_say(err, EINVAL, "%s must be %s", value->key, words);
}

static int set_policy(struct config *c, const struct toml_value *value, struct err *err)
{
	static const char *const choice[] = { "best-effort", "required", NULL };
	static const char *const launch[] = { "auto", "native", "runtime", NULL };
	static const char *const accel[] = { "auto", "kvm", "tcg", NULL };
	int at = 0;
	int rc;

	if (strcmp(value->key, "rootfs_choice") == 0) {
		rc = set_word(&at, value, choice, "\"best-effort\" or \"required\"", err);
		c->rootfs_choice = rc < 0 ? c->rootfs_choice : (enum choice_policy)at;
	} else if (strcmp(value->key, "unikernel") == 0) {
		rc = set_word(&at, value, launch, "\"auto\", \"native\" or \"runtime\"", err);
		c->unikernel = rc < 0 ? c->unikernel : (enum launch_policy)at;
	} else {
		rc = set_word(&at, value, accel, "\"auto\", \"kvm\" or \"tcg\"", err);
		c->accel = rc < 0 ? c->accel : (enum accel_policy)at;
	}
	return rc;
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static int set_folders(char ***field, const struct toml_value *value, struct err *err)
{
	size_t n = 0;
	char **copy;
	int rc = toml_want(value, TOML_LIST, err);

	if (rc < 0)
		return rc;
	while (value->list[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n && rc == 0; i++) {
		copy[i] = strdup(value->list[i]);
		if (!copy[i])
			rc = err_set(err, ENOMEM, "%s", value->key);
		else if (copy[i][0] != '/' || copy[i][1] == '\0' || strstr(copy[i], ".."))
			rc = err_say(err, EINVAL, "%s must be absolute paths of folders", value->key);
	}
	if (!copy || rc < 0) {
		free_list(copy);
		return rc < 0 ? rc : err_set(err, ENOMEM, "%s", value->key);
	}
	free_list(*field);
	*field = copy;
	return 0;
}

static int set_group(enum group_by *field, const struct toml_value *value, struct err *err)
{
	int rc = toml_want(value, TOML_TEXT, err);

	if (rc < 0)
		return rc;
	if (strcmp(value->text, "pod") == 0)
		*field = GROUP_BY_POD;
	else if (strcmp(value->text, "container") == 0)
		*field = GROUP_BY_CONTAINER;
	else
		return err_say(err, EINVAL, "%s must be \"pod\" or \"container\"", value->key);
	return 0;
}

static int set_bool(bool *field, const struct toml_value *value, struct err *err)
{
	int rc = toml_want(value, TOML_BOOL, err);

	if (rc == 0)
		*field = value->yes;
	return rc;
}

/* A zero here would end every call, or every idle shim, at once. */
static int set_seconds(int *field, const struct toml_value *value, struct err *err)
{
	int rc = set_int(field, value, SECONDS_MAX, err);

	if (rc == 0 && *field == 0)
		return err_say(err, EINVAL, "%s must be from 1 to %d", value->key, SECONDS_MAX);
	return rc;
}

static int set_one(void *arg, const struct toml_value *value, struct err *err)
{
	struct config *c = arg;

	if (strcmp(value->key, "journal") == 0)
		return set_folder(&c->journal, value, err);
	if (strcmp(value->key, "run") == 0)
		return set_folder(&c->run, value, err);
	if (strcmp(value->key, "runtime") == 0)
		return set_text(&c->runtime, value, err);
	if (strcmp(value->key, "rootfs_choice") == 0 || strcmp(value->key, "unikernel") == 0 ||
	    strcmp(value->key, "accel") == 0)
		return set_policy(c, value, err);
	if (strcmp(value->key, "monitor_paths") == 0)
		return set_folders(&c->monitor_paths, value, err);
	if (strcmp(value->key, "group") == 0)
		return set_group(&c->group, value, err);
	if (strcmp(value->key, "history_days") == 0)
		return set_int(&c->history_days, value, DAYS_MAX, err);
	if (strcmp(value->key, "history_count") == 0)
		return set_int(&c->history_count, value, 1000000, err);
	if (strcmp(value->key, "runtime_timeout_s") == 0)
		return set_seconds(&c->runtime_timeout_s, value, err);
	if (strcmp(value->key, "idle_exit_s") == 0)
		return set_seconds(&c->idle_exit_s, value, err);
	if (strcmp(value->key, "monitor_grace_s") == 0)
		return set_seconds(&c->monitor_grace_s, value, err);
	if (strcmp(value->key, "power_button") == 0)
		return set_bool(&c->power_button, value, err);
	if (strcmp(value->key, "vaccel") == 0)
		return set_bool(&c->vaccel, value, err);
	if (strcmp(value->key, "ask_containerd") == 0)
		return set_bool(&c->ask_containerd, value, err);
	if (strcmp(value->key, "debug") == 0)
		return set_bool(&c->debug, value, err);
	return err_say(err, EINVAL, "unknown key \"%s\"", value->key);
}

static int set_defaults(struct config *c, struct err *err)
{
	*c = (struct config){
		.file = strdup(""),
		.journal = strdup("/var/lib/urunc/journal"),
		.run = strdup("/run/urunc"),
		.runtime = strdup(""),
		.rootfs_choice = CHOICE_BEST_EFFORT,
		.group = GROUP_BY_POD,
		.history_days = 14,
		.history_count = 1000,
		.runtime_timeout_s = 120,
		.idle_exit_s = 60,
		.monitor_grace_s = 10,
		.power_button = true,
	};
	if (c->file && c->journal && c->run && c->runtime)
		return 0;
	return err_set(err, ENOMEM, "read the configuration");
}

int config_parse(struct config *config, const char *text, size_t len, struct err *err)
{
	return toml_read(text, len, set_one, config, err);
}

/* 1 read; 0 there is no such file. */
static int read_whole(const char *file, char **ret, size_t *len, struct err *err)
{
	auto_fd int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	auto_free char *text = NULL;
	struct stat st;
	size_t used = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "open");
	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "stat");
	if (!S_ISREG(st.st_mode))
		return err_say(err, EINVAL, "not a regular file");
	text = malloc(FILE_MAX + 1);
	if (!text)
		return err_set(err, ENOMEM, "read");
	for (;;) {
		ssize_t n = read(fd, text + used, FILE_MAX + 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "read");
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > FILE_MAX)
			return err_say(err, EFBIG, "longer than %d bytes", FILE_MAX);
	}
	*ret = TAKE_PTR(text);
	*len = used;
	return 1;
}

static int load(struct config *c, const char *file, bool must_be, struct err *err)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int rc = read_whole(file, &text, &len, err);

	if (rc == 0)
		return must_be ? err_set(err, ENOENT, "open") : 0;
	if (rc < 0)
		return rc;
	free(c->file);
	c->file = strdup(file);
	if (!c->file)
		return err_set(err, ENOMEM, "read");
	return config_parse(c, text, len, err);
}

int config_load(struct config *ret, const char *file, struct err *err)
{
	const char *named = file ? NULL : getenv("URUNC_CONFIG");
	bool by_env = named && named[0];
	const char *path = file ? file : by_env ? named : CONFIG_FILE;
	int rc = set_defaults(ret, err);

	if (rc == 0) {
		ret->by_env = by_env;
		/* Who names a file means that file. */
		rc = load(ret, path, file || by_env, err);
		if (rc < 0)
			rc = err_wrap(err, "config file %s", path);
	}
	if (rc < 0)
		config_clear(ret);
	return rc;
}

void config_clear(struct config *config)
{
	free(config->file);
	free(config->journal);
	free(config->run);
	free_list(config->monitor_paths);
	free(config->runtime);
	*config = (struct config){ .file = NULL };
}
