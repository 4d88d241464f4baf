/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/oci/runtime.h"

#include "journal/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

/* In the order they are looked for when nobody named one. */
static const struct {
	const char *name;
	enum runtime_kind kind;
} known[] = {
	{ "urunc", RUNTIME_URUNC },
	{ "runc", RUNTIME_RUNC },
	{ "crun", RUNTIME_CRUN },
};

enum runtime_kind runtime_kind_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (strcmp(path, RUNTIME_NATIVE_NAME) == 0)
		return RUNTIME_NATIVE;
	if (strcmp(path, RUNTIME_SANDBOX_NAME) == 0)
		return RUNTIME_SANDBOX;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].kind;
	return RUNTIME_OTHER;
}

bool runtime_is_none(enum runtime_kind kind)
{
	return kind == RUNTIME_NATIVE || kind == RUNTIME_SANDBOX;
}

bool runtime_takes_pidfd(enum runtime_kind kind)
{
	return kind == RUNTIME_RUNC || kind == RUNTIME_CRUN || runtime_is_none(kind);
}

int runtime_executable(struct node *n, const char *path, struct err *err)
{
	struct path_ident what;
	int rc = n->path(n, path, &what, err);

	/* A component that is no folder, or may not be entered, holds no program. */
	if (rc == -ENOTDIR || rc == -EACCES || rc == -ENAMETOOLONG)
		return 0;
	if (rc <= 0)
		return rc;
	return S_ISLNK(what.mode) || (S_ISREG(what.mode) && (what.mode & 0111));
}

int runtime_search(struct node *n, const char *name, const char *dirs, char **ret,
		   struct err *err)
{
	const char *next = dirs;

	if (strchr(name, '/')) {
		int rc = runtime_executable(n, name, err);

		if (rc > 0 && !(*ret = strdup(name)))
			return err_set(err, ENOMEM, "look for %s", name);
		return rc;
	}
	while (name[0] && next && next[0]) {
		size_t len = strcspn(next, ":");
		char *path = NULL;
		int rc;

		/* Relative folders of a PATH are no place for a program run by root. */
		if (next[0] == '/') {
			if (asprintf(&path, "%.*s/%s", (int)len, next, name) < 0)
				return err_set(err, ENOMEM, "look for %s", name);
			rc = runtime_executable(n, path, err);
			if (rc > 0)
				*ret = path;
			else
				free(path);
			if (rc)
				return rc;
		}
		next += len + (next[len] == ':');
	}
	return 0;
}

int runtime_find(struct node *n, const char *name, const char *dirs, char **ret,
		 struct err *err)
{
	int rc = 0;

	if (name[0]) {
		rc = runtime_search(n, name, dirs, ret, err);
		if (rc == 0)
			return err_say(err, ENOEXEC, "exec: \"%s\": executable file not found in $PATH",
				       name);
		return rc < 0 ? rc : 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		rc = runtime_search(n, known[i].name, dirs, ret, err);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	return err_say(err, ENOEXEC,
		       "exec: \"urunc\": executable file not found in $PATH, nor is runc or crun; "
		       "install one, or set runtime in the config file");
}
