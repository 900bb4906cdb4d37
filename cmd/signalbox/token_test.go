package main

import (
	"strings"
	"testing"
)

func TestTokenIsShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	text := strings.TrimSpace(r.good("token", "create", "--tenant", "acme", "--name", "CRM", "--scopes", "provisioning,accounts:read", "--numbers", "+1415555"))
	parts := strings.SplitN(text, "_", 3)
	if len(parts) != 3 || parts[0] != "sbx" {
		t.Fatalf("token %q", text)
	}
	list := r.good("token", "list")
	if !strings.Contains(list, parts[1]) || !strings.Contains(list, "acme") || !strings.Contains(list, "numbers +1415555") || !strings.Contains(list, "never used") {
		t.Errorf("list %q", list)
	}
	if strings.Contains(list, parts[2]) || strings.Contains(r.good("token", "list", "--format", "json"), parts[2]) {
		t.Error("the list shows the secret part")
	}
	r.good("token", "revoke", parts[1])
	if list := r.good("token", "list", "--tenant", "acme"); !strings.Contains(list, "revoked") {
		t.Errorf("list after revoking %q", list)
	}
	for _, bad := range [][]string{
		{"token", "revoke", "nobody"},
		{"token", "create", "--tenant", "acme", "--scopes", "admin"},
		{"token", "create", "--tenant", "acme", "--scopes", "everything"},
		{"token", "create", "--tenant", "a/b", "--scopes", "provisioning"},
		{"token", "create", "--tenant", "acme", "--scopes", "provisioning", "--numbers", "415"},
	} {
		if result := r.run("", bad...); result.status == 0 || result.out != "" {
			t.Errorf("%v: %+v", bad, result)
		}
	}
}
