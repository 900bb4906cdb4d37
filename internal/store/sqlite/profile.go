package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Profile reads all that a call to the number needs.
func (s *Store) Profile(ctx context.Context, number tel.Number) (account.Profile, error) {
	p, err := s.profile(ctx, number)
	if errors.Is(err, sql.ErrNoRows) {
		return account.Profile{}, store.ErrNotFound
	}
	if err != nil {
		return account.Profile{}, fmt.Errorf("profile of %s: %w", number.Masked(), wrap(ctx, err))
	}
	return p, nil
}

func (s *Store) profile(ctx context.Context, number tel.Number) (account.Profile, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return account.Profile{}, err
	}
	defer func() { _ = tx.Rollback() }()
	p := account.Profile{Number: number}
	var ms int64
	var pilot sql.NullString
	var conditions string
	err = tx.QueryRowContext(ctx, `SELECT a.id, a.name, n.no_answer_ms, n.pilot, n.conditions,
			max(n.version, a.version, coalesce(p.version, 0))
		FROM numbers n JOIN accounts a ON a.id = n.account LEFT JOIN pilots p ON p.number = n.pilot
		WHERE n.number = ?`, string(number)).
		Scan(&p.Account.ID, &p.Account.Name, &ms, &pilot, &conditions, &p.Version)
	if err != nil {
		return account.Profile{}, err
	}
	p.Timers.NoAnswer = time.Duration(ms) * time.Millisecond
	err = each(ctx, tx, "SELECT kind, profile, user, host, port, transport FROM devices WHERE number = ? ORDER BY position",
		func(scan scanner) error {
			var d account.Device
			err := scan(&d.Kind, &d.Profile, &d.User, &d.Host, &d.Port, &d.Transport)
			p.Devices = append(p.Devices, d)
			return err
		}, string(number))
	if err != nil || !pilot.Valid {
		return p, err
	}
	p.Voicemail = &account.Voicemail{Pilot: pilot.String, Conditions: splitConditions(conditions).Conditions()}
	err = each(ctx, tx, `SELECT v.fqdn, v.transport, v.profile, v.version
		FROM pilot_systems s JOIN voicemail_systems v ON v.fqdn = s.fqdn
		WHERE s.pilot = ? ORDER BY s.priority, s.position`,
		func(scan scanner) error {
			var v account.VoicemailSystem
			var version int64
			err := scan(&v.FQDN, &v.Transport, &v.Profile, &version)
			p.Systems = append(p.Systems, v)
			p.Version = max(p.Version, version)
			return err
		}, pilot.String)
	return p, err
}
