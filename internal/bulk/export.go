package bulk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// Each hands on every row of a tenant; it is of store.Rows.
type Each interface {
	Each(ctx context.Context, tenant string, do func(store.Row) error) error
}

// sections are a document's keys for its kinds.
var sections = map[account.Kind]string{
	account.KindAccount: "accounts", account.KindNumber: "numbers", account.KindPilot: "pilots",
	account.KindVoicemailSystem: "voicemail_systems", account.KindContact: "contacts", account.KindRule: "rules", account.KindSchedule: "schedules",
}

// WriteYAML writes a tenant's rows as the document that apply takes, row by row; secrets says whether passwords' hashes are in it.
func WriteYAML(ctx context.Context, rows Each, tenant string, secrets bool, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if _, err := fmt.Fprintf(out, "tenant: %s\n", tenant); err != nil {
		return err
	}
	var section account.Kind
	err := rows.Each(ctx, tenant, func(r store.Row) error {
		if r.Kind != section {
			section = r.Kind
			if _, err := fmt.Fprintf(out, "%s:\n", sections[section]); err != nil {
				return err
			}
		}
		text, err := yaml.Marshal([]account.Entry{exported(r.Entry, secrets)})
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// WriteJSONL writes the rows of tenants as lines that Load takes, those first that others refer to: the operator's before all.
// secrets says whether passwords' hashes are in them.
func WriteJSONL(ctx context.Context, rows Each, tenants []string, secrets bool, w io.Writer) error {
	if slices.Contains(tenants, account.OperatorTenant) {
		others := slices.DeleteFunc(slices.Clone(tenants), func(t string) bool { return t == account.OperatorTenant })
		tenants = append([]string{account.OperatorTenant}, others...)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, tenant := range tenants {
		err := rows.Each(ctx, tenant, func(r store.Row) error {
			entry, err := json.Marshal(exported(r.Entry, secrets))
			if err != nil {
				return err
			}
			return lines.Encode(jsonLine{Tenant: r.Tenant, Kind: r.Kind, Entry: entry})
		})
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

func exported(e account.Entry, secrets bool) account.Entry {
	if secrets {
		return e
	}
	return account.WithoutSecrets(e)
}
