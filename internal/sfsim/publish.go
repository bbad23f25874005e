package sfsim

// publish serves one batch.
func (s *Sim) publish(r *rpc) *grpcError {
	m, err := r.only()
	if err != nil || r.call.cut {
		return err
	}
	topic := ""
	return s.batch(r, m, &topic)
}

// publishStream serves batches until the caller's half-close.
func (s *Sim) publishStream(r *rpc) *grpcError {
	topic := ""
	for {
		m, err := r.recv()
		if err != nil {
			return r.ended(err)
		}
		if err := s.batch(r, m, &topic); err != nil || r.call.cut {
			return err
		}
		if s.Switches().StreamDiesWithToken && !r.session.alive(s.now()) {
			return unauthenticated("service.auth.error")
		}
	}
}

// batch publishes one PublishRequest and answers it. The first one names the
// stream's topic.
func (s *Sim) batch(r *rpc, m []byte, topic *string) *grpcError {
	fields, ok := readProto(m)
	if !ok {
		return &grpcError{grpcInternal, "", "Invalid protobuf byte sequence"}
	}
	var events [][]byte
	var keys []string
	for _, f := range fields {
		if f.num != 2 {
			continue
		}
		inner, ok := readProto(f.b)
		if !ok {
			return &grpcError{grpcInternal, "", "Invalid protobuf byte sequence"}
		}
		events = append(events, f.b)
		keys = append(keys, textOf(inner, 1))
	}
	switch name := textOf(fields, 1); {
	case *topic == "":
		*topic = name
	case name != "" && name != *topic:
		return &grpcError{grpcInvalidArgument, "publish.topic.mismatch", "The topic name must not change."}
	}
	if err := topicOf(*topic); err != nil {
		return err
	}
	if token := textOf(fields, 3); token != "" && !s.refreshesAuth(r.call, token) {
		return unauthenticated("service.auth.refresh.invalid")
	}
	if len(events) == 0 {
		return &grpcError{grpcInvalidArgument, "publish.event.count.invalid", "A publish request needs events."}
	}
	first := s.bus.add(r.session.org.ID, *topic, events)
	var out proto
	for i, key := range keys {
		out = out.message(1, proto{}.bytes(1, replayID(first+uint64(i))).text(3, key))
	}
	return r.reply(out.text(2, schemaOf(*topic)).text(3, r.id))
}

// resume starts a managed subscription where its last commit left it. Its
// developer name is that of the event: X is /event/X.
func (v *subscription) resume(q fetch) *grpcError {
	switch {
	case q.subject == "":
		return &grpcError{grpcInvalidArgument, "managed.subscription.id.or.developer.name.empty", "A subscription ID or a developer name is needed."}
	case q.commit != nil:
		return &grpcError{grpcInvalidArgument, "managed.subscription.fetch.request.commit.request.restricted", "The first request must not commit."}
	}
	v.topic, v.managed = "/event/"+q.subject, v.managed+q.subject
	_, last := v.sim.bus.bounds(v.session.org.ID, v.topic)
	b := &v.sim.bus
	b.mu.Lock()
	at, committed := b.commits[v.managed]
	b.mu.Unlock()
	if v.at = last; committed {
		v.at = at
	}
	v.begin()
	return nil
}

// commit keeps a managed subscription's place and answers so.
func (v *subscription) commit(m []byte) *grpcError {
	fields, ok := readProto(m)
	if !ok {
		return &grpcError{grpcInternal, "", "Invalid protobuf byte sequence"}
	}
	out := proto{}.text(1, textOf(fields, 1))
	id := []byte(textOf(fields, 2))
	if n, ok := readReplayID(id); ok && n <= v.at {
		b := &v.sim.bus
		b.mu.Lock()
		b.commits[v.managed] = n
		b.mu.Unlock()
		out = out.bytes(2, id)
	} else {
		out = out.message(3, proto{}.varint(1, 2).text(2, "the replay ID was not delivered"))
	}
	out = out.varint(4, uint64(v.sim.now().UnixMilli()))
	if v.send(proto{}.bytes(2, replayID(v.at)).text(3, v.id).varint(4, uint64(v.pending)).message(5, out)) != nil {
		v.call.cut = true
	}
	return nil
}
