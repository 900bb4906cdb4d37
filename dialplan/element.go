package dialplan

// Element is one XML element as FreeSWITCH's parser sees it after X-PRE-PROCESS. It belongs to its Tree and must not be
// changed.
type Element struct {
	Name     string
	Attrs    []Attribute
	Children []*Element
	Pos      Pos // of its "<"

	text []byte
}

// Attribute is one attribute of an element, its value decoded.
type Attribute struct {
	Name, Value string
	Pos         Pos // of its name
}

// Text returns the text of an element. FreeSWITCH keeps it apart from the children, so does this.
func (e *Element) Text() string { return string(e.text) }

// Attr returns the value of the first attribute of that name; FreeSWITCH never looks at a second one.
func (e *Element) Attr(name string) (string, bool) {
	for i := range e.Attrs {
		if e.Attrs[i].Name == name {
			return e.Attrs[i].Value, true
		}
	}
	return "", false
}

// Soft returns the attribute, or "" when there is none.
func (e *Element) Soft(name string) string {
	v, _ := e.Attr(name)
	return v
}

// PosOf returns where the attribute of that name stands, or the place of the element when it has none.
func (e *Element) PosOf(attr string) Pos {
	for i := range e.Attrs {
		if e.Attrs[i].Name == attr {
			return e.Attrs[i].Pos
		}
	}
	return e.Pos
}

// All returns the children of that name.
func (e *Element) All(name string) []*Element { return childrenNamed(e.Children, name) }

// Child returns the first child of that name, or nil.
func (e *Element) Child(name string) *Element {
	for _, c := range e.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}
