package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

func badRequest(detail string) error {
	return &ProblemError{Status: http.StatusBadRequest, Code: codeBadRequest, Detail: detail}
}

// decode reads the request's JSON object into v. An empty body leaves v as it is. form shows what is expected: errors
// never quote what came, which may hold a secret.
func decode(r *http.Request, v any, form string) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	return badRequest("the body must be one JSON object of the form " + form)
}

// number reads a query parameter from 1 to most; without it, it is def.
func number(r *http.Request, name string, def, most int) (int, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, badRequest(name + " must be a number from 1 to " + strconv.Itoa(most))
	}
	return n, nil
}

// duration reads a query parameter from 0 to most; without it, it is def.
func duration(r *http.Request, name string, def, most time.Duration) (time.Duration, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return def, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > most {
		return 0, badRequest(name + " must be a duration from 0s to " + most.String() + ", as 30s")
	}
	return d, nil
}

// flag reads a query parameter that is true when it is there without a value.
func flag(r *http.Request, name string) (bool, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return false, nil
	}
	if q.Get(name) == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, badRequest(name + " must be true or false")
	}
	return b, nil
}
