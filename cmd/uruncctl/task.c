/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/task.h"

#include "journal/base/cleanup.h"

#include <string.h>

void task_list_clear(struct task_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->at[i].file);
	free(list->at);
	*list = (struct task_list){ .n = 0 };
}

struct adding {
	struct task_list *list;
	bool with_file;
};

static int add(void *arg, const struct task_key *key, const char *file)
{
	struct adding *a = arg;
	struct task_list *list = a->list;
	size_t room = list->room ? list->room * 2 : 64;
	struct task_item item = { .key = *key };

	if (list->n == list->room) {
		struct task_item *at = reallocarray(list->at, room, sizeof(*at));

		if (!at)
			return -ENOMEM;
		list->at = at;
		list->room = room;
	}
	if (a->with_file) {
		item.file = strdup(file);
		if (!item.file)
			return -ENOMEM;
	}
	list->at[list->n++] = item;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct task_key *ka = &((const struct task_item *)a)->key;
	const struct task_key *kb = &((const struct task_item *)b)->key;
	int r = strcmp(ka->ns, kb->ns);

	r = r ? r : strcmp(ka->id, kb->id);
	return r ? r : strcmp(ka->daemon, kb->daemon);
}

int task_list_add(struct task_list *list, const struct ctl *ctl, enum journal_where where,
		  struct err *err)
{
	struct adding a = { .list = list, .with_file = where == JOURNAL_DONE };
	size_t before = list->n;
	int r = journal_list(&ctl->place, where, add, &a, err);

	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "list the tasks in %s", ctl->place.root);
	if (r < 0)
		return r;
	if (where == JOURNAL_LIVE && list->n > before)
		qsort(list->at + before, list->n - before, sizeof(*list->at), by_name);
	return 0;
}

const char *task_name(char buf[TASK_NAME_MAX], const struct task_key *key, bool full)
{
	(void)snprintf(buf, TASK_NAME_MAX, "%s%s%s/%s", full ? key->daemon : "", full ? "/" : "",
		       key->ns, key->id);
	return buf;
}

bool task_list_full(const struct task_list *list)
{
	for (size_t i = 1; i < list->n; i++)
		if (strcmp(list->at[i].key.daemon, list->at[0].key.daemon) != 0)
			return true;
	return false;
}

static bool same_key(const struct task_key *a, const struct task_key *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->ns, b->ns) == 0 &&
	       strcmp(a->daemon, b->daemon) == 0;
}

/* The word is the name, or the end of it after a slash. */
static bool named(const struct task_key *key, const char *word)
{
	char name[TASK_NAME_MAX];
	size_t skip;

	(void)task_name(name, key, true);
	if (strlen(word) > strlen(name))
		return false;
	skip = strlen(name) - strlen(word);
	return strcmp(name + skip, word) == 0 && (skip == 0 || name[skip - 1] == '/');
}

/* What was perhaps meant: an id cut short, as other tools print them. */
static bool begun(const struct task_key *key, const char *word)
{
	const char *slash = strrchr(word, '/');
	const char *id = slash ? slash + 1 : word;

	return *id && strncmp(key->id, id, strlen(id)) == 0;
}

/* "a, b, c and 4 more" of the tasks that @match the word. Returns how many. */
static size_t candidates(const struct task_list *list, const char *word,
			 bool (*match)(const struct task_key *, const char *), char *buf,
			 size_t size)
{
	size_t len = 0;
	size_t n = 0;
	size_t shown = 0;

	*buf = '\0';
	for (size_t i = 0; i < list->n; i++) {
		char name[TASK_NAME_MAX];

		if (!match(&list->at[i].key, word))
			continue;
		n++;
		(void)task_name(name, &list->at[i].key, true);
		if (len + strlen(name) + 24 > size)
			continue;
		len += (size_t)snprintf(buf + len, size - len, "%s%s", shown++ ? ", " : "", name);
	}
	if (n > shown)
		(void)snprintf(buf + len, size - len, " and %zu more", n - shown);
	return n;
}

int task_find(const struct task_list *list, const char *word, const struct task_item **ret,
	      struct err *err)
{
	const struct task_item *found = NULL;
	char names[ERR_TEXT_MAX / 2];

	for (size_t i = 0; i < list->n; i++) {
		const struct task_item *item = &list->at[i];

		if (!named(&item->key, word) || (found && same_key(&found->key, &item->key)))
			continue;
		if (found) {
			(void)candidates(list, word, named, names, sizeof(names));
			return err_say(err, EINVAL, "'%s' names several tasks: %s; say which", word,
				       names);
		}
		found = item;
	}
	if (found) {
		*ret = found;
		return 0;
	}
	if (candidates(list, word, begun, names, sizeof(names)))
		return err_say(err, ENOENT, "there is no task '%s'; did you mean %s?", word, names);
	return err_say(err, ENOENT, "there is no task '%s'; uruncctl ps lists them", word);
}

int task_open(struct journal **ret, const struct ctl *ctl, const struct task_item *item,
	      struct err *err)
{
	if (item->file)
		return journal_open_file(ret, item->file, err);
	return journal_open(ret, &ctl->place, &item->key, JOURNAL_READ, err);
}

/* Pids of a row mean something only in their own pid namespace and boot. */
static int ident_alive(const struct ctl *ctl, const struct task_row *row, const struct ident *who)
{
	struct node *n = ctl->node;

	if (who->pid <= 0)
		return 0;
	if (!epoch_same_boot(row->epoch, n->epoch(n)))
		return 0;
	if (!epoch_same_pids(row->epoch, n->epoch(n)))
		return -1;
	return n->alive(n, who, NULL);
}

int task_view(struct task_view *ret, const struct ctl *ctl, const struct task_item *item,
	      struct journal *j, struct err *err)
{
	struct task_view v = { .live = !item->file };
	int r = journal_task(j, &v.row, err);

	if (r < 0)
		return r;
	if (v.live) {
		r = journal_owner(&ctl->place, &item->key, &v.owner, err);
		if (r < 0) {
			task_row_clear(&v.row);
			return r;
		}
		v.shim_alive = ident_alive(ctl, &v.row, &v.row.shim);
		v.init_alive = ident_alive(ctl, &v.row, &v.row.init);
	}
	*ret = v;
	return 0;
}

void task_view_clear(struct task_view *view)
{
	task_row_clear(&view->row);
}

const char *task_view_ill(const struct task_view *view)
{
	if (!view->live)
		return NULL;
	if (strcmp(view->row.state, life_state_name(LIFE_STUCK)) == 0)
		return "something could not be taken back";
	if (!view->owner && view->shim_alive != 1)
		return "its shim is dead";
	return NULL;
}

const char *exit_how_name(enum exit_how how)
{
	static const char *const names[] = {
		[EXIT_REAPED] = "reaped",
		[EXIT_KILLED] = "killed",
		[EXIT_UNKNOWN] = "unknown",
	};

	return how > EXIT_NONE_ && (size_t)how < ARRAY_SIZE(names) ? names[how] : "";
}

void task_key_json(json_object *to, const struct task_key *key)
{
	json_object_object_add(to, "daemon", json_string_of(key->daemon));
	json_object_object_add(to, "ns", json_string_of(key->ns));
	json_object_object_add(to, "id", json_string_of(key->id));
}

void exit_json(json_object *to, enum exit_how how, uint32_t status, int64_t at_ns)
{
	json_object *o = NULL;

	if (how != EXIT_NONE_) {
		o = out_object(CTL_UNKNOWN);
		json_object_object_add(o, "how", json_string_of(exit_how_name(how)));
		json_object_object_add(o, "status", json_object_new_int64(status));
		json_object_object_add(o, "at_ns", json_object_new_int64(at_ns));
	}
	json_object_object_add(to, "exit", o);
}

static void process_json(json_object *to, const char *name, const struct ident *who, int alive)
{
	json_object *o = NULL;

	if (who->pid > 0) {
		o = out_object(CTL_UNKNOWN);
		json_object_object_add(o, "pid", json_object_new_int64(who->pid));
		json_object_object_add(o, "start", json_object_new_uint64(who->start));
		json_object_object_add(o, "alive",
				       alive < 0 ? NULL : json_object_new_boolean(alive));
	}
	json_object_object_add(to, name, o);
}

json_object *task_view_json(const struct task_view *view)
{
	const struct task_row *row = &view->row;
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "state", row->state },     { "address", row->address },
		{ "bundle", row->bundle },   { "group", row->group },
		{ "socket", row->socket },   { "runtime", row->runtime },
		{ "runtime_root", row->runtime_root }, { "epoch", row->epoch },
		{ "error", row->error },     { "ill", task_view_ill(view) },
	};
	json_object *o = out_object(CTL_UNKNOWN);

	task_key_json(o, &row->key);
	json_object_object_add(o, "live", json_object_new_boolean(view->live));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		json_object_object_add(o, texts[i].name, json_string_of(texts[i].text));
	json_object_object_add(o, "owner", view->owner ? json_object_new_int64(view->owner) : NULL);
	process_json(o, "shim", &row->shim, view->shim_alive);
	process_json(o, "init", &row->init, view->init_alive);
	exit_json(o, row->exit_how, row->exit_status, row->exit_at_ns);
	json_object_object_add(o, "lease", json_object_new_int64(row->lease));
	json_object_object_add(o, "created_ms", json_object_new_int64(row->created_ms));
	json_object_object_add(o, "changed_ms", json_object_new_int64(row->changed_ms));
	json_object_object_add(o, "request", json_value_of(row->request));
	return o;
}
