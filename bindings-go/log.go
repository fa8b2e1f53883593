package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
	"sync"
	"time"
)

// logSink takes the library's log records to a logger. The library's threads only put them down here: a logger
// may block, or use the library itself.
type logSink struct {
	logger *slog.Logger

	mutex   sync.Mutex
	records []slog.Record
	lost    int
	writing bool
}

// logLimit is how many records may wait for a logger that is slower than the library; the rest is counted.
const logLimit = 10_000

// setLog makes a logger the one of a client; nil is none.
func setLog(logger *slog.Logger, set func(sink C.uintptr_t) C.int32_t) error {
	if logger == nil {
		return nil
	}
	// Every record is asked for: the logger's level may change at any time.
	if status := set(newHandle(&logSink{logger: logger})); status != C.LIME_OK {
		return failed(status, nil)
	}
	return nil
}

//export limeGoLog
func limeGoLog(handle C.uintptr_t, level C.int32_t, message *C.char) {
	sink := cgo.Handle(handle).Value().(*logSink)
	severity := severityOf(int32(level))
	if sink.logger.Enabled(context.Background(), severity) {
		sink.put(slog.NewRecord(time.Now(), severity, C.GoString(message), 0))
	}
}

func severityOf(level int32) slog.Level {
	switch {
	case level >= C.LIME_LOG_ERROR:
		return slog.LevelError
	case level >= C.LIME_LOG_WARNING:
		return slog.LevelWarn
	case level >= C.LIME_LOG_INFO:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (s *logSink) put(record slog.Record) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.records) >= logLimit {
		s.lost++
		return
	}
	s.records = append(s.records, record)
	if !s.writing {
		s.writing = true
		go s.write()
	}
}

// write writes what there is, in order, and ends.
func (s *logSink) write() {
	for {
		s.mutex.Lock()
		records, lost := s.records, s.lost
		s.records, s.lost = nil, 0
		if len(records) == 0 && lost == 0 {
			s.writing = false
			s.mutex.Unlock()
			return
		}
		s.mutex.Unlock()
		for _, record := range records {
			// As slog does: what a handler cannot write has nowhere to go.
			_ = s.logger.Handler().Handle(context.Background(), record)
		}
		if lost > 0 {
			s.logger.Warn("log records of lime were lost: the logger is too slow", "count", lost)
		}
	}
}
