/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/console.h"

#include "journal/base/cleanup.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

int console_path(char **ret, const char *run, uint64_t random, struct err *err)
{
	const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	auto_free char *path = NULL;

	if (asprintf(&path, "%s/pty/%016" PRIx64 "/pty.sock", run, random) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "name a console socket");
	}
	if (strlen(path) >= max)
		return err_say(err, ENAMETOOLONG, "console socket %s: over %zu bytes; the run "
			       "folder of the config must be shorter", path, max - 1);
	*ret = TAKE_PTR(path);
	return 0;
}

/* @path without its last part; the caller frees. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash != path ? strndup(path, (size_t)(slash - path)) : NULL;
}

int console_listen(struct node *n, const char *path, struct path_ident *folder, int *fd,
		   struct err *err)
{
	auto_free char *dir = folder_of(path);
	auto_free char *parent = dir ? folder_of(dir) : NULL;
	int rc;

	if (!parent)
		return err_say(err, EINVAL, "console socket %s: no path of console_path()", path);
	rc = n->make_dir(n, parent, 0700, err);
	if (rc >= 0)
		rc = n->make_dir(n, dir, 0700, err);
	if (rc < 0)
		return err_wrap(err, "console socket %s", path);
	if (rc == 0)
		return err_say(err, EEXIST, "console socket %s: its folder is there already", path);
	rc = n->path(n, dir, folder, err);
	if (rc == 0)
		return err_say(err, ENOENT, "console socket %s: somebody removed its folder", path);
	if (rc > 0)
		rc = n->listen(n, path, fd, err);
	return rc < 0 ? err_wrap(err, "console socket %s", path) : 0;
}

int console_remove(struct node *n, const char *path, const struct path_ident *folder,
		   struct err *err)
{
	auto_free char *dir = folder_of(path);
	struct path_ident is, sock;
	int rc = dir ? n->path(n, dir, &is, err) : 0;

	if (rc <= 0)
		return rc;
	if (!S_ISDIR(is.mode) || (folder && (is.dev != folder->dev || is.ino != folder->ino)))
		return err_say(err, ESTALE, "console socket %s: another folder is there now; "
			       "left alone", path);
	rc = n->path(n, path, &sock, err);
	if (rc > 0 && S_ISSOCK(sock.mode))
		rc = n->remove_file(n, path, &sock, err);
	return rc < 0 ? rc : n->remove_dir(n, dir, &is, err);
}
