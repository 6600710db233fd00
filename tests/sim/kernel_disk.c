/* The disk: what programs see of each file, and what is on the platter. In pages of 4 KiB that are shared until one of the
 * two changes; a page of zeros costs nothing. */
#include "kernel_priv.h"
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define SECTOR 512u

struct page {
    unsigned refs;
    uint64_t version;        /* counts every change of any page */
    char octets[PAGE];
};

static struct {
    struct list inodes;
    struct inode *root;
    uint64_t octets, used, version, numbers;
    struct page zeros;       /* never freed, never changed */
} disk;

/* -- pages -- */

static struct page *page_ref(struct page *page)
{
    if (page)
        page->refs++;
    return page;
}

static void page_unref(struct page *page)
{
    if (page && --page->refs == 0)
        kernel_free(page);
}

static const char *octets_of(const struct page *page) { return page ? page->octets : disk.zeros.octets; }
static uint64_t version_of(const struct page *page) { return page ? page->version : 0; }

static void slot_set(struct page **slot, struct page *page) /* takes the reference */
{
    page_unref(*slot);
    *slot = page;
}

/* A page that nobody else has, with the octets of the one that was there. */
static struct page *page_own(struct page **slot)
{
    struct page *page = *slot;
    if (!page || page->refs > 1 || page == &disk.zeros) {
        struct page *copy = kernel_calloc(1, sizeof *copy);
        copy->refs = 1;
        memcpy(copy->octets, octets_of(page), PAGE);
        slot_set(slot, copy);
        page = copy;
    }
    page->version = ++disk.version;
    return page;
}

/* -- inodes -- */

struct inode *inode_new(enum inode_kind kind, mode_t mode)
{
    struct inode *inode = kernel_calloc(1, sizeof *inode);
    inode->kind = kind;
    inode->mode = mode;
    inode->number = ++disk.numbers;
    list_init(&inode->now);
    list_init(&inode->safe);
    list_init(&inode->changes);
    list_add_last(&disk.inodes, &inode->link);
    return inode;
}

void inode_ref(struct inode *inode) { inode->refs++; }

static void slots_cut(struct inode *inode, size_t count)
{
    for (size_t i = count; i < inode->slot_count; i++) {
        disk.used -= inode->slots[i].now || inode->slots[i].safe ? PAGE : 0;
        slot_set(&inode->slots[i].now, NULL);
        slot_set(&inode->slots[i].safe, NULL);
    }
    inode->slot_count = MIN(inode->slot_count, count);
}

static void inode_free(struct inode *inode)
{
    slots_cut(inode, 0);
    kernel_free(inode->slots);
    kernel_free(inode->dirty);
    list_remove(&inode->link);
    kernel_free(inode);
}

void inode_unref(struct inode *inode)
{
    if (inode && --inode->refs == 0 && inode->kind != INODE_FOLDER) /* folders stay until the end of the run */
        inode_free(inode);
}

uint64_t disk_room(void) { return disk.octets > disk.used ? disk.octets - disk.used : 0; }
struct inode *disk_root(void) { return disk.root; }

/* -- reading and writing -- */

size_t inode_read(struct inode *inode, void *p, size_t n, uint64_t at)
{
    if (at >= inode->size_now)
        return 0;
    n = (size_t)MIN(n, inode->size_now - at);
    for (size_t done = 0, now; done < n; done += now) {
        size_t slot = (size_t)((at + done) / PAGE), from = (size_t)((at + done) % PAGE);
        now = MIN(n - done, PAGE - from);
        memcpy((char *)p + done, octets_of(slot < inode->slot_count ? inode->slots[slot].now : NULL) + from, now);
    }
    return n;
}

static struct slot *slot_at(struct inode *inode, size_t index)
{
    if (index >= inode->slot_room) {
        size_t room = MAX(index + 1, 2 * inode->slot_room);
        inode->slots = kernel_grow(inode->slots, room * sizeof *inode->slots);
        memset(inode->slots + inode->slot_room, 0, (room - inode->slot_room) * sizeof *inode->slots);
        inode->slot_room = room;
    }
    inode->slot_count = MAX(inode->slot_count, index + 1);
    return &inode->slots[index];
}

static void slot_dirty(struct inode *inode, size_t index)
{
    if (inode->slots[index].dirty)
        return;
    inode->slots[index].dirty = true;
    if (inode->dirty_count == inode->dirty_room) {
        inode->dirty_room = inode->dirty_room ? 2 * inode->dirty_room : 16;
        inode->dirty = kernel_grow(inode->dirty, inode->dirty_room * sizeof *inode->dirty);
    }
    inode->dirty[inode->dirty_count++] = (uint32_t)index;
}

static bool is_zero(const char *p, size_t n) { return memcmp(p, disk.zeros.octets, n) == 0; }

static void slot_write(struct inode *inode, size_t index, size_t from, const char *p, size_t n)
{
    struct slot *slot = slot_at(inode, index);
    if (!slot->now && !slot->safe)
        disk.used += PAGE;
    bool blank = !slot->now || slot->now == &disk.zeros;
    if (blank && is_zero(p, n))
        slot_set(&slot->now, page_ref(&disk.zeros));
    else
        memcpy(page_own(&slot->now)->octets + from, p, n);
    slot_dirty(inode, index);
}

static bool has_block(const struct inode *inode, size_t index)
{
    return index < inode->slot_count && (inode->slots[index].now || inode->slots[index].safe);
}

size_t inode_write(struct inode *inode, const void *p, size_t n, uint64_t at)
{
    size_t done = 0;
    for (size_t now; done < n; done += now) {
        size_t index = (size_t)((at + done) / PAGE), from = (size_t)((at + done) % PAGE);
        now = MIN(n - done, PAGE - from);
        if (!has_block(inode, index) && (disk_room() < PAGE || fault(kernel.faults.enospc)))
            break;
        slot_write(inode, index, from, (const char *)p + done, now);
    }
    if (done)
        inode->size_now = MAX(inode->size_now, at + done);
    return done;
}

void inode_cut(struct inode *inode)
{
    for (size_t i = 0; i < inode->slot_count; i++) {
        if (!has_block(inode, i))
            continue;
        slot_set(&inode->slots[i].now, page_ref(&disk.zeros));
        slot_dirty(inode, i);
    }
    inode->size_now = 0;
}

/* -- syncs -- */

struct taken {
    uint32_t index;
    struct page *page;
};

struct sync {
    struct inode *inode;
    uint64_t size;
    size_t count;
    struct taken taken[];
};

struct sync *sync_begin(struct inode *inode)
{
    struct sync *sync = kernel_calloc(1, sizeof *sync + inode->dirty_count * sizeof(struct taken));
    inode_ref(inode);
    sync->inode = inode;
    sync->size = inode->size_now;
    for (size_t i = 0; i < inode->dirty_count; i++) {
        uint32_t index = inode->dirty[i];
        sync->taken[sync->count++] = (struct taken){ index, page_ref(inode->slots[index].now) };
    }
    return sync;
}

static void slot_saved(struct slot *slot, struct page *page)
{
    if (!slot->safe || version_of(slot->safe) < version_of(page) || slot->safe == &disk.zeros)
        slot_set(&slot->safe, page_ref(page));
    if (slot->now == page)
        slot->dirty = false;
}

static void dirty_tidy(struct inode *inode)
{
    size_t kept = 0;
    for (size_t i = 0; i < inode->dirty_count; i++)
        if (inode->slots[inode->dirty[i]].dirty)
            inode->dirty[kept++] = inode->dirty[i];
    inode->dirty_count = kept;
}

/* What a failed sync could not write is not dirty any more: the kernel keeps it as if it were saved, until it drops it. */
static void slot_lost(struct slot *slot, const struct page *page)
{
    slot->dirty = slot->now != page;
    if (!slot->dirty && chance_below(2))
        slot_set(&slot->now, page_ref(slot->safe));
}

void sync_end(struct sync *sync, bool fails)
{
    struct inode *inode = sync->inode;
    for (size_t i = 0; i < sync->count; i++) {
        struct slot *slot = &inode->slots[sync->taken[i].index];
        if (fails && chance_below(2))
            slot_lost(slot, sync->taken[i].page);
        else
            slot_saved(slot, sync->taken[i].page);
    }
    if (!fails)
        inode->size_safe = MIN(MAX(inode->size_safe, sync->size), inode->size_now);
    dirty_tidy(inode);
    sync_forget(sync);
}

void sync_forget(struct sync *sync)
{
    for (size_t i = 0; i < sync->count; i++)
        page_unref(sync->taken[i].page);
    inode_unref(sync->inode);
    kernel_free(sync);
}

void inode_write_back(struct inode *inode)
{
    if (!inode->dirty_count)
        return;
    uint32_t index = inode->dirty[chance_below(inode->dirty_count)];
    slot_saved(&inode->slots[index], inode->slots[index].now);
    dirty_tidy(inode);
}

/* -- a power cut -- */

/* Some sectors of the one, some of the other. */
static void tear(struct slot *slot)
{
    struct page *page = kernel_calloc(1, sizeof *page);
    page->refs = 1;
    page->version = ++disk.version;
    for (size_t at = 0; at < PAGE; at += SECTOR)
        memcpy(page->octets + at, octets_of(chance_below(2) ? slot->now : slot->safe) + at, SECTOR);
    slot_set(&slot->safe, page);
    kernel.figures.pages_torn++;
}

enum cut { CUT_NOTHING, CUT_ALL, CUT_SOME, CUT_TEARS, CUT_COUNT };

static void slot_cut(struct slot *slot, enum cut cut)
{
    bool keep = cut == CUT_ALL || (cut != CUT_NOTHING && chance_below(2));
    if (cut == CUT_TEARS && chance_below(3) == 0)
        tear(slot);
    else if (keep)
        slot_set(&slot->safe, page_ref(slot->now));
    kernel.figures.pages_kept += keep;
    kernel.figures.pages_lost += !keep;
}

static void file_cut(struct inode *inode)
{
    enum cut cut = (enum cut)chance_below(CUT_COUNT);
    for (size_t i = 0; i < inode->dirty_count; i++)
        slot_cut(&inode->slots[inode->dirty[i]], cut);
    if (inode->size_now != inode->size_safe && (cut == CUT_ALL || (cut != CUT_NOTHING && chance_below(2))))
        inode->size_safe = inode->size_now;
    for (size_t i = 0; i < inode->slot_count; i++) {
        struct slot *slot = &inode->slots[i];
        bool had = slot->now || slot->safe;
        slot_set(&slot->now, page_ref(slot->safe));
        disk.used -= had && !slot->safe ? PAGE : 0;
        slot->dirty = false;
    }
    inode->dirty_count = 0;
    inode->size_now = inode->size_safe;
    slots_cut(inode, (size_t)((inode->size_safe + PAGE - 1) / PAGE));
}

void names_power_cut(struct inode *folder);
void names_settle(struct inode *folder);
void names_done(struct inode *folder);

/* The inodes that only a lost name had go, and then the contents of the others fall back. */
void disk_power_cut(void)
{
    for (struct list *link = disk.inodes.next; link != &disk.inodes; link = link->next) {
        struct inode *inode = CONTAINER(link, struct inode, link);
        inode->refs++; /* none goes while we walk */
        if (inode->kind == INODE_FOLDER)
            names_power_cut(inode);
        else if (inode->kind == INODE_FILE)
            file_cut(inode);
    }
    for (LIST_EACH(link, &disk.inodes))
        inode_unref(CONTAINER(link, struct inode, link));
}

/* -- the whole disk -- */

void disk_init(uint64_t octets)
{
    list_init(&disk.inodes);
    disk.octets = octets;
    disk.used = disk.version = disk.numbers = 0;
    disk.zeros.refs = 1;
    disk.root = inode_new(INODE_FOLDER, S_IFDIR | 0755);
    inode_ref(disk.root);
}

void disk_done(void)
{
    for (struct list *link = disk.inodes.next; link != &disk.inodes; link = link->next) {
        struct inode *inode = CONTAINER(link, struct inode, link);
        inode->refs++;
        if (inode->kind == INODE_FOLDER)
            names_done(inode);
    }
    while (!list_is_empty(&disk.inodes))
        inode_free(CONTAINER(list_first(&disk.inodes), struct inode, link));
}

void kernel_disk_settle(void)
{
    for (struct list *link = disk.inodes.next; link != &disk.inodes; link = link->next) {
        struct inode *inode = CONTAINER(link, struct inode, link);
        if (inode->kind == INODE_FILE)
            sync_end(sync_begin(inode), false);
        else if (inode->kind == INODE_FOLDER)
            names_settle(inode);
    }
}

void kernel_disk_resize(uint64_t octets) { disk.octets = octets; }
uint64_t kernel_disk_used(void) { return disk.used; }

bool kernel_disk_flip(const char *path, uint64_t at, unsigned bit)
{
    struct inode *parent;
    const char *last;
    struct inode *inode = path_find(disk.root, path, &parent, &last);
    if (!inode || inode->kind != INODE_FILE || at >= inode->size_now)
        return false;
    struct slot *slot = slot_at(inode, (size_t)(at / PAGE));
    bool both = slot->now == slot->safe;
    page_own(&slot->now)->octets[at % PAGE] ^= (char)(1u << bit % 8);
    if (both)
        slot_set(&slot->safe, page_ref(slot->now));
    else
        page_own(&slot->safe)->octets[at % PAGE] ^= (char)(1u << bit % 8);
    kernel_trace("a bit of %s flips at %llu", path, (unsigned long long)at);
    return true;
}
