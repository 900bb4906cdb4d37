package resolve

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// maxServices bounds the services followed of one name's NAPTR records.
const maxServices = 4

// service is one name under which SRV records are asked for, with the transport they are for.
type service struct {
	name      string
	transport string
	ttl       time.Duration // of the NAPTR record that names it; 0 = it is the usual one
}

// transports are the NAPTR services that a look-up may follow (RFC 3263 section 4.1), by the transport that is allowed. Services
// for other transports (SIP+D2S, SIP+D2W) are passed over.
func transports(allowed string) map[string]string {
	switch allowed {
	case "udp":
		return map[string]string{"SIP+D2U": "udp"}
	case "tcp":
		return map[string]string{"SIP+D2T": "tcp"}
	case "tls":
		return map[string]string{"SIPS+D2T": "tls"}
	}
	return map[string]string{"SIP+D2U": "udp", "SIP+D2T": "tcp"}
}

// usualServices are those of a name without NAPTR records, in the order in which they are asked for (RFC 3263 sections 4.1 and 4.2).
func usualServices(name, transport string) []service {
	switch transport {
	case "tls":
		return []service{{name: "_sips._tcp." + name, transport: transport}}
	case "":
		return []service{{name: "_sip._udp." + name}, {name: "_sip._tcp." + name, transport: "tcp"}}
	}
	return []service{{name: "_sip._" + transport + "." + name, transport: transport}}
}

// services asks for the NAPTR records of a name: the services of the allowed transport, best first; none when the DNS names
// none, or does not answer: the usual service is asked for then.
func (r *Resolver) services(ctx context.Context, name, allowed string) []service {
	got, err := r.client.ask(ctx, question{name, dns.TypeNAPTR}, 1)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			r.opt.Logger.Debug("no NAPTR records to be had, SRV records are asked for", zap.String("name", name), zap.Error(err))
		}
		return nil
	}
	records := make([]*dns.NAPTR, 0, len(got.records))
	wanted := transports(allowed)
	for _, rr := range got.records {
		rec := rr.(*dns.NAPTR)
		// The replacement alone is followed, to SRV records: RFC 3263 knows neither regular expressions nor other flags.
		if wanted[strings.ToUpper(rec.Service)] != "" && strings.EqualFold(rec.Flags, "s") && rec.Regexp == "" && serviceName(rec.Replacement) {
			records = append(records, rec)
		}
	}
	slices.SortStableFunc(records, func(a, b *dns.NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var out []service
	for _, rec := range records[:min(len(records), maxServices)] {
		out = append(out, service{dns.CanonicalName(rec.Replacement), wanted[strings.ToUpper(rec.Service)], got.ttl})
	}
	return out
}

// serviceName reports whether a name can hold SRV records: labels of a host name, some of which begin with an underscore.
func serviceName(name string) bool {
	trimmed := strings.TrimSuffix(name, ".")
	if trimmed == "" || len(trimmed) > 253 {
		return false
	}
	for label := range strings.SplitSeq(trimmed, ".") {
		if !hostLabel(strings.TrimPrefix(label, "_")) {
			return false
		}
	}
	return true
}
