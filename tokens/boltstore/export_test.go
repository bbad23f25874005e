package boltstore

import (
	"encoding/json"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport/sallyport/tokens"
)

// Classify says what a transaction that failed with err means.
func Classify(err error) error { return classify(err) }

// Plant writes a record past every check.
func (s *Store) Plant(r tokens.Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.PlantRaw(r.Org, b)
}

// PlantRaw writes bytes in place of a record.
func (s *Store) PlantRaw(org tokens.OrgID, b []byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketRecords).Put([]byte(org), b) })
}

// BreakDisk lets every further write fail.
func (s *Store) BreakDisk() error { return s.file.Close() }

// Locks counts the locks that somebody holds or waits for.
func (s *Store) Locks() int {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.orgs)
}
