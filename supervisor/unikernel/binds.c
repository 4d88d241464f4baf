/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/binds.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/mount_words.h"
#include "supervisor/step/step.h"

#include <string.h>
#include <sys/mount.h>

/* Those that a mount of a tree has; what else is known is the file system's. */
#define OF_A_MOUNT (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | \
		    MS_STRICTATIME)
#define WITHOUT_EFFECT (MS_BIND | MS_REC | MS_RELATIME | MS_REMOUNT)

static size_t length(json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

size_t binds_count(const struct spec *spec)
{
	json_object *mounts = json_list(spec->json, "mounts");
	size_t n = 0;

	for (size_t i = 0; i < length(mounts); i++)
		n += json_is_bind(json_object_array_get_idx(mounts, i));
	return n;
}

static int sort(struct mount_words *ret, json_object *mount, struct err *err)
{
	json_object *options = json_list(mount, "options");
	size_t n = length(options);
	auto_free const char **words = calloc(n + 1, sizeof(*words));

	if (!words)
		return err_set(err, ENOMEM, "read the bind mounts");
	for (size_t i = 0; i < n; i++) {
		words[i] = json_object_get_string(json_object_array_get_idx(options, i));
		if (!words[i])
			words[i] = "";
	}
	return mount_words_sort(json_text(mount, "type", ""), words, n, ret, err);
}

/* What a share can't do for its guest. */
static int check(const struct mount_words *words, const char *to, struct err *err)
{
	if (words->data[0])
		return err_say(err, ENOTSUP, "the bind mount on %s has the option \"%s\", which means "
			       "nothing for a guest's share; take it out", to, words->data);
	if (words->loop || words->direct_io || (words->flags & ~(OF_A_MOUNT | WITHOUT_EFFECT)))
		return err_say(err, ENOTSUP, "the bind mount on %s has an option of a file system's own, "
			       "which means nothing for a guest's share; take it out", to);
	if (words->propagation & (MS_SHARED | MS_SLAVE))
		return err_say(err, ENOTSUP, "the bind mount on %s would have to take on later mounts, "
			       "which a guest's share can't; use rprivate", to);
	return 0;
}

static int read_one(json_object *list, json_object *mount, struct err *err)
{
	const char *source = json_text(mount, "source", "");
	const char *to = json_text(mount, "destination", "");
	struct mount_words words = { .data = NULL };
	json_object *one;
	int rc;

	if (source[0] != '/' || to[0] != '/' || !to[strspn(to, "/")])
		return err_say(err, EINVAL, "a bind mount of \"%s\" on \"%s\": both have to be absolute "
			       "paths, and the second one below /", source, to);
	rc = sort(&words, mount, err);
	if (rc == 0)
		rc = check(&words, to, err);
	if (rc == 0) {
		one = json_object_new_object();
		json_put_text(one, "source", source);
		json_put_text(one, "to", to + strspn(to, "/"));
		json_put(one, "recursive", json_object_new_boolean((words.flags & MS_REC) != 0));
		json_put_int(one, "flags", (int64_t)(words.flags & OF_A_MOUNT));
		json_append(list, one);
	}
	free(words.data);
	return rc;
}

int binds_read(json_object **ret, const struct spec *spec, struct err *err)
{
	json_object *mounts = json_list(spec->json, "mounts");
	auto_json json_object *list = json_object_new_array();
	int rc = list ? 0 : err_set(err, ENOMEM, "read the bind mounts");

	for (size_t i = 0; i < length(mounts) && rc == 0; i++) {
		json_object *mount = json_object_array_get_idx(mounts, i);

		if (json_is_bind(mount))
			rc = read_one(list, mount, err);
	}
	if (rc == 0 && json_object_get_userdata(list))
		rc = err_set(err, ENOMEM, "read the bind mounts");
	if (rc == 0)
		*ret = TAKE_PTR(list);
	return rc;
}
