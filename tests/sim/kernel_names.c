/* Names in folders: as programs see them, and as they are on the platter. What changed since a folder's last sync is kept
 * as a list, of which a power cut keeps what the seed says. A renaming is one change: both of its halves or none. */
#include "kernel_priv.h"
#include <stdio.h>
#include <string.h>

void names_power_cut(struct inode *folder);
void names_settle(struct inode *folder);
void names_done(struct inode *folder);

static struct name *find_in(struct list *names, const char *text)
{
    for (LIST_EACH(link, names)) {
        struct name *name = CONTAINER(link, struct name, link);
        if (strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

static void name_drop(struct name *name)
{
    list_remove(&name->link);
    inode_unref(name->inode);
    kernel_free(name);
}

static void put_in(struct list *names, const char *text, struct inode *inode)
{
    struct name *name = find_in(names, text);
    if (inode)
        inode_ref(inode);
    if (name)
        name_drop(name);
    if (!inode)
        return;
    size_t n = strlen(text) + 1;
    name = kernel_calloc(1, sizeof *name + n);
    name->inode = inode;
    memcpy(name->text, text, n);
    list_add_last(names, &name->link);
}

struct name *name_find(struct inode *folder, const char *text) { return find_in(&folder->now, text); }

static struct change *change_add(struct inode *folder, const char *text, struct inode *inode)
{
    size_t n = strlen(text) + 1;
    struct change *change = kernel_calloc(1, sizeof *change + n);
    memcpy(change->text, text, n);
    change->inode = inode;
    if (inode)
        inode_ref(inode);
    list_add_last(&folder->changes, &change->link);
    return change;
}

static void change_free(struct change *change)
{
    if (change->with)
        change->with->with = NULL;
    list_remove(&change->link);
    inode_unref(change->inode);
    kernel_free(change);
}

void name_set(struct inode *folder, const char *text, struct inode *inode)
{
    change_add(folder, text, inode);
    put_in(&folder->now, text, inode);
}

void name_move(struct inode *from, const char *old, struct inode *to, const char *new)
{
    struct inode *inode = name_find(from, old)->inode;
    struct change *there = change_add(to, new, inode), *gone = change_add(from, old, NULL);
    there->with = gone;
    gone->with = there;
    put_in(&to->now, new, inode);
    put_in(&from->now, old, NULL);
}

/* Brings the first change to the platter, and the half that belongs to it wherever it stands. */
static void change_save(struct inode *folder, struct change *change)
{
    put_in(&folder->safe, change->text, change->inode);
}

void folder_sync(struct inode *folder)
{
    for (LIST_EACH(link, &folder->changes)) {
        struct change *change = CONTAINER(link, struct change, link);
        change_save(folder, change);
        change_free(change);
    }
}

void names_settle(struct inode *folder) { folder_sync(folder); }

static void changes_drop(struct inode *folder)
{
    while (!list_is_empty(&folder->changes))
        change_free(CONTAINER(list_first(&folder->changes), struct change, link));
}

/* All names of one folder: renamings between folders are nobody's here. */
void names_power_cut(struct inode *folder)
{
    unsigned count = 0, at = 0;
    for (LIST_EACH(link, &folder->changes))
        count++;
    bool in_order = kernel.faults.names_in_order;
    uint64_t first = count ? chance_below(count + 1) : 0;
    for (LIST_EACH(link, &folder->changes)) {
        struct change *change = CONTAINER(link, struct change, link);
        bool keep = in_order ? at < first : chance_below(2);
        if (change->with && change->with->chosen)
            keep = change->with->kept;
        change->chosen = true;
        change->kept = keep;
        at++;
        if (keep)
            change_save(folder, change);
    }
    changes_drop(folder);
    while (!list_is_empty(&folder->now))
        name_drop(CONTAINER(list_first(&folder->now), struct name, link));
    for (struct list *link = folder->safe.next; link != &folder->safe; link = link->next) {
        struct name *name = CONTAINER(link, struct name, link);
        put_in(&folder->now, name->text, name->inode);
    }
}

void names_done(struct inode *folder)
{
    changes_drop(folder);
    while (!list_is_empty(&folder->now))
        name_drop(CONTAINER(list_first(&folder->now), struct name, link));
    while (!list_is_empty(&folder->safe))
        name_drop(CONTAINER(list_first(&folder->safe), struct name, link));
}

/* -- paths -- */

/* Folders do not know what they stand in; there are few. */
static struct inode *above(struct inode *top, const struct inode *folder)
{
    for (LIST_EACH(link, &top->now)) {
        struct inode *inode = CONTAINER(link, struct name, link)->inode;
        struct inode *found = inode == folder ? top : inode->kind == INODE_FOLDER ? above(inode, folder) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

struct inode *path_find(struct inode *from, const char *path, struct inode **parent, const char **last)
{
    struct inode *at = *path == '/' ? disk_root() : from;
    *parent = NULL;
    *last = "";
    while (true) {
        char part[256];
        while (*path == '/')
            path++;
        size_t n = strcspn(path, "/");
        if (n == 0)
            return at;
        if (!at || at->kind != INODE_FOLDER || n >= sizeof part) {
            *parent = NULL;
            errno = !at ? ENOENT : n >= sizeof part ? ENAMETOOLONG : ENOTDIR;
            return NULL;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        if (strcmp(part, "..") == 0) {
            struct inode *up = above(disk_root(), at);
            at = up ? up : at;
        } else if (strcmp(part, ".") != 0) {
            struct name *name = name_find(at, part);
            *parent = at;
            *last = path;
            at = name ? name->inode : NULL;
            errno = ENOENT;
        }
        path += n;
    }
}

static void each_below(struct inode *folder, const char *path, void (*each)(void *, const char *, uint64_t), void *arg)
{
    const char *before = "";
    while (true) { /* the next in the order of names: folders are small */
        struct name *next = NULL;
        char whole[1024];
        for (LIST_EACH(link, &folder->now)) {
            struct name *name = CONTAINER(link, struct name, link);
            if (strcmp(name->text, before) > 0 && (!next || strcmp(name->text, next->text) < 0))
                next = name;
        }
        if (!next)
            return;
        before = next->text;
        snprintf(whole, sizeof whole, "%s/%s", path, next->text);
        if (next->inode->kind == INODE_FOLDER)
            each_below(next->inode, whole, each, arg);
        else if (next->inode->kind == INODE_FILE)
            each(arg, whole, next->inode->size_now);
    }
}

void kernel_disk_each(const char *folder, void (*each)(void *arg, const char *path, uint64_t octets), void *arg)
{
    struct inode *parent;
    const char *last;
    struct inode *inode = path_find(disk_root(), folder, &parent, &last);
    if (inode && inode->kind == INODE_FOLDER)
        each_below(inode, folder, each, arg);
}
