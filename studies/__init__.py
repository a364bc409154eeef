"""The papers' studies, and teacher and student: arranges views and runs, carries them out, and judges what they show."""
