/* base/list.h -- a doubly linked ring whose links live inside its members. */
#pragma once
#include "base/attr.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list) { list->next = list->prev = list; }
static inline bool list_is_empty(const struct list *list) { return list->next == list; }
/* Linked into some ring? (Members are list_init()ed before their first use.) */
static inline bool list_is_linked(const struct list *link) { return link->next != link; }

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
static inline void list_add_last(struct list *list, struct list *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}
static inline void list_add_first(struct list *list, struct list *link) { list_add_last(list->next, link); }
/* The first link, taken out; NULL when empty. */
static inline struct list *list_take_first(struct list *list)
{
    struct list *link = list->next;
    if (link == list)
        return NULL;
    list_remove(link);
    return link;
}
static inline struct list *list_first(const struct list *list) { return list_is_empty(list) ? NULL : list->next; }

/* for (LIST_EACH(link, &ring)): the current link may be removed inside. */
#define LIST_EACH(link, ring)                                                               \
    struct list *link = (ring)->next, *link##_next = link->next; link != (ring);            \
    link = link##_next, link##_next = link->next
