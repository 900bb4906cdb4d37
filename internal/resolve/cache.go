package resolve

import (
	"container/list"
	"time"
)

// entry is what is known of one request: hosts, or the error that says why there are none.
type entry struct {
	key     string
	name    string // as asked, without the final dot
	hosts   []host
	err     error
	expires time.Time // believed until then
	stale   time.Time // hosts used until then when every server is silent
	used    time.Time // last
}

// usableAt reports whether an entry, which may be nil, has hosts to go on with although it has expired.
func (e *entry) usableAt(now time.Time) bool {
	return e != nil && len(e.hosts) > 0 && now.Before(e.stale)
}

// cache keeps the entries used last, at most size of them. It is not safe for concurrent use.
type cache struct {
	size  int
	order *list.List // of *entry, the one used last in front
	items map[string]*list.Element
}

func newCache(size int) *cache {
	return &cache{size: size, order: list.New(), items: map[string]*list.Element{}}
}

func (c *cache) get(key string) *entry {
	e, ok := c.items[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry)
}

func (c *cache) put(e *entry) {
	if old, ok := c.items[e.key]; ok {
		old.Value = e
		c.order.MoveToFront(old)
		return
	}
	c.items[e.key] = c.order.PushFront(e)
	if c.order.Len() > c.size {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.items, last.Value.(*entry).key)
	}
}
